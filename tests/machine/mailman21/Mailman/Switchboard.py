"""A queue: a directory with a file for each message, named for when it came.

What the MTA delivered is pickled as text (protocol 0), what a runner puts back in binary. Before
the name is .pck it is .tmp; while the message is handled it is .bak, and a runner that starts
takes up what one that died has left.
"""

import hashlib
import os
import time

from Mailman import Pickles


class Switchboard:
    def __init__(self, directory, recover=False):
        self.directory = directory
        if not os.path.isdir(directory):
            mask = os.umask(0o007)
            os.makedirs(directory, 0o770, exist_ok=True)
            os.umask(mask)
        if recover:
            for name in self._names(".bak"):
                self._rename(name, ".bak", ".pck")

    def _names(self, suffix):
        ends = (name[: -len(suffix)] for name in os.listdir(self.directory) if name.endswith(suffix))
        return sorted(ends)

    def _path(self, base, suffix):
        return os.path.join(self.directory, base + suffix)

    def _rename(self, base, old, new):
        os.rename(self._path(base, old), self._path(base, new))

    def files(self):
        return self._names(".pck")

    def enqueue(self, text, data, protocol):
        now = time.time()
        data.setdefault("received_time", now)
        data["version"] = 3
        food = (text + data["listname"] + repr(now)).encode("latin-1")
        base = "%r+%s" % (data["received_time"], hashlib.sha1(food).hexdigest())
        mask = os.umask(0o007)
        try:
            with open(self._path(base, ".pck.tmp"), "wb") as file:
                Pickles.dump(text, file, protocol)
                Pickles.dump(data, file, protocol)
                file.flush()
                os.fsync(file.fileno())
        finally:
            os.umask(mask)
        self._rename(base, ".pck.tmp", ".pck")

    def dequeue(self, base):
        self._rename(base, ".pck", ".bak")
        with open(self._path(base, ".bak"), "rb") as file:
            return Pickles.load(file), Pickles.load(file)

    def finish(self, base):
        os.unlink(self._path(base, ".bak"))
