"""What many sites would write first: an aliases file as logical lines, one list's turned.

Every byte is kept, names that stand twice are looked for, and the file is replaced by rename.

usage: lines.py FILE LIST PROGRAM
"""
import os
import re
import sys

path, name, program = sys.argv[1:]
with open(path, "rb") as source:
    lines = source.readlines()
entries, between = [], []
for line in lines:
    if line[:1] in b" \t" and line.strip() and entries:
        entries[-1][1] += b"".join(between) + line
        between = []
    elif not line.strip() or line.lstrip()[:1] == b"#":
        between.append(line)
    else:
        entries.append([b"".join(between), line])
        between = []
seen, doubles = set(), []
pipe = re.compile(rb'"\|\S+ (\S+) %s"' % re.escape(name.encode()))
for entry in entries:
    left = entry[1].split(b":", 1)[0].strip().strip(b'"').lower()
    if left in seen:
        doubles.append(left)
    seen.add(left)
    if name.encode() in entry[1]:
        entry[1] = pipe.sub(rb'"|%s \1 %s"' % (program.encode(), name.encode()), entry[1])
with open(path + ".new", "wb") as target:
    for above, text in entries:
        target.write(above)
        target.write(text)
    target.write(b"".join(between))
    target.flush()
    os.fsync(target.fileno())
os.rename(path + ".new", path)
directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
os.fsync(directory)
