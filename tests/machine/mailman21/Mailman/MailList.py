"""One list: config.pck, read, converted and saved as the real one does it.

Whoever loads a list with newer code converts it, whatever for; older code takes a newer list as it
is. The file before is config.pck.last.
"""

import os
import time

from Mailman import Pickles, Version, mm_cfg
from Mailman.LockFile import LockFile

HELD = ("config.pck", "config.pck.last")


def directory(name):
    return os.path.join(mm_cfg.LIST_DATA_DIR, name)


def list_exists(name):
    return any(os.path.exists(os.path.join(directory(name), held)) for held in HELD)


def list_names():
    return sorted(name for name in os.listdir(mm_cfg.LIST_DATA_DIR) if list_exists(name))


class MailList:
    def __init__(self, name, lock=True):
        self.name = name
        self.lock = LockFile(os.path.join(mm_cfg.LOCK_DIR, name + ".lock"))
        if lock:
            self.lock.lock(10)
        try:
            with open(os.path.join(directory(name), "config.pck"), "rb") as file:
                self.config = Pickles.load(file)
            self._check_version(lock)
        except BaseException:
            if lock:
                self.lock.unlock()
            raise

    def _check_version(self, is_locked):
        if self.config["data_version"] >= Version.DATA_FILE_VERSION:
            return
        if not is_locked:
            self.lock.lock(10)
        try:
            for version in range(self.config["data_version"] + 1, Version.DATA_FILE_VERSION + 1):
                self.config.setdefault("new_in_%d" % version, [])
                if version == 106:
                    self.config["topics"] = [
                        (name, pattern.replace("\n", "|")) for name, pattern in self.config["topics"]
                    ]
            self.config["data_version"] = Version.DATA_FILE_VERSION
            self.save()
        finally:
            if not is_locked:
                self.lock.unlock()

    def save(self):
        path = os.path.join(directory(self.name), "config.pck")
        fresh = "%s.tmp.%s.%d" % (path, os.uname().nodename, os.getpid())
        mask = os.umask(0o007)
        try:
            with open(fresh, "wb") as file:
                Pickles.dump(self.config, file, 1)
                file.flush()
                os.fsync(file.fileno())
        finally:
            os.umask(mask)
        try:
            os.unlink(path + ".last")
        except FileNotFoundError:
            pass
        if os.path.exists(path):
            os.link(path, path + ".last")
        os.rename(fresh, path)

    def archive(self, text):
        boxes = os.path.join(mm_cfg.PRIVATE_ARCHIVE_FILE_DIR, self.name + ".mbox")
        with open(os.path.join(boxes, self.name + ".mbox"), "a", encoding="latin-1") as file:
            file.write("From post %s\n%s\n" % (time.asctime(), text))


def create(name, owner):
    """What `newlist` makes."""
    os.makedirs(directory(name), 0o2775)
    for part in (name, name + ".mbox"):
        os.makedirs(os.path.join(mm_cfg.PRIVATE_ARCHIVE_FILE_DIR, part), 0o2775)
    box = os.path.join(mm_cfg.PRIVATE_ARCHIVE_FILE_DIR, name + ".mbox", name + ".mbox")
    open(box, "a").close()
    fresh = MailList.__new__(MailList)
    fresh.name = name
    fresh.config = {
        "real_name": name.capitalize(),
        "owner": [owner],
        "members": {"member%d@example.com" % n: 0 for n in range(20)},
        "topics": [("toys", "ball\ndoll")],
        "post_id": 1,
        "data_version": Version.DATA_FILE_VERSION,
    }
    fresh.save()
