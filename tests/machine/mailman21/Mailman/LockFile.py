"""A lock that is a hard link, as on NFS; it names its holder."""

import os
import time


class TimeOutError(Exception):
    pass


class LockFile:
    def __init__(self, path):
        self.path = path
        self.own = "%s.%s.%d" % (path, os.uname().nodename, os.getpid())

    def lock(self, timeout):
        with open(self.own, "w") as file:
            file.write(self.own)
        os.chmod(self.own, 0o664)
        end = time.time() + timeout
        try:
            while True:
                try:
                    os.link(self.own, self.path)
                    return
                except FileExistsError:
                    self._break_if_dead()
                if time.time() > end:
                    raise TimeOutError(self.path)
                time.sleep(0.05)
        finally:
            os.unlink(self.own)

    def _break_if_dead(self):
        try:
            with open(self.path) as file:
                holder = int(file.read().rsplit(".", 1)[1])
            os.stat("/proc/%d" % holder)
        except (IndexError, ValueError):
            return
        except FileNotFoundError:
            try:
                os.unlink(self.path)
            except FileNotFoundError:
                pass

    def unlock(self):
        os.unlink(self.path)
