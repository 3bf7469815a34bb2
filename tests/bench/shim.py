"""What many sites would write first: the same look-up in Python, with the same short cut.

usage: shim.py PARITY TREES VERB LIST
"""
import os
import sys
import time

parity, trees, verb, name = sys.argv[1:]


def rows_in(fd, start, end):
    """Whether the sorted rows between these offsets have the list."""
    row = b'"%s"' % name.encode()
    while start < end:
        middle = (start + end) // 2
        block = os.pread(fd, 512, max(middle - 256, start))
        at = max(middle - 256, start)
        line_start = block.rfind(b"\n", 0, middle - at) + 1
        line_end = block.find(b"\n", middle - at)
        line = block[line_start:line_end].rstrip(b",")
        if line.startswith(b"["):
            line = line[1:].split(b",")[0]
        if line == row:
            return True
        if line < row:
            start = at + line_end + 1
        else:
            end = at + line_start
    return False


fd = os.open(parity, os.O_RDONLY)
status = os.fstat(fd)
head = os.pread(fd, 4096, 0)
words = head.split(b"\n", 1)[0].decode().split()
sealed = (
    words[:2] == ["#", "sealed"]
    and int(words[4]) == status.st_size
    and status.st_mtime_ns % 10**9 == 0
    and words[2] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(status.st_mtime_ns // 10**9))
)
if sealed:
    size, paused, on_future = int(words[4]), int(words[6]), int(words[8])
    if rows_in(fd, paused + len("paused = [\n"), on_future - len("]\n")):
        sys.exit(75)
    ahead = rows_in(fd, on_future + len("on_future = [\n"), size - len("]\n"))
else:
    ahead, array, row = False, "", '"%s"' % name
    for line in os.fdopen(fd):
        if line.startswith('"') and line.rstrip(",\n") == row:
            ahead = ahead or array == "on_future"
        elif " = " in line:
            array = line.split(" = ")[0]
        elif line.startswith("[" + row + ","):
            sys.exit(75)
program = "%s/%s/mail/mailman" % (trees, "b" if ahead else "a")
os.execv(program, [program, verb, name])
