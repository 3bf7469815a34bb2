"""Where everything is. `make` puts the two prefixes in; mm_cfg.py is the admin's."""

import os

PREFIX = "@PREFIX@"
VAR_PREFIX = "@VAR_PREFIX@"
MAILMAN_USER = "@USER@"
MAILMAN_GROUP = "@USER@"

BIN_DIR = os.path.join(PREFIX, "bin")
LIST_DATA_DIR = os.path.join(VAR_PREFIX, "lists")
LOG_DIR = os.path.join(VAR_PREFIX, "logs")
LOCK_DIR = os.path.join(VAR_PREFIX, "locks")
DATA_DIR = os.path.join(VAR_PREFIX, "data")
PRIVATE_ARCHIVE_FILE_DIR = os.path.join(VAR_PREFIX, "archives", "private")
QUEUE_DIR = os.path.join(VAR_PREFIX, "qfiles")
PIDFILE = os.path.join(DATA_DIR, "master-qrunner.pid")
MASTER_LOCK_FILE = os.path.join(LOCK_DIR, "master-qrunner")

# In the place of an SMTP server: where the members of all lists get their mail.
MEMBERS = "/var/members/" + PREFIX.strip("/").replace("/", "-")
