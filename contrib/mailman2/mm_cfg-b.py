# For the end of tree b's Mailman/mm_cfg.py (Mailman 2.1), behind `from Defaults import *`: what two
# trees with one list's data must not share. `mm-parity init --from` prints these lines with the places
# of your site; `mm-parity check` tells what is shared all the same.
#
# Tree b is built with a prefix of its own and no --with-var-prefix: its lists, archives, data and
# locks are links to the shared ones, its qfiles and logs its own directories.

# In the shared data: without this, the second master takes the first for itself, and
# `mailmanctl stop` of either tree stops the other's.
PIDFILE = '/usr/local/mailman-data/data/master-qrunner-b.pid'

# In the shared locks; from 2.1.16 on. Before that one master runs at a time: let cron run the other
# tree's queues, by bin/qrunner --runner=All --once, and say `runners = "none"` in site.toml.
MASTER_LOCK_FILE = '/usr/local/mailman-data/locks/master-qrunner-b'

# Only where the tree is built with --with-var-prefix, so that its qfiles would be tree a's:
# whichever runner comes first takes a message, of whatever list. All eleven must be set.
#QUEUE_DIR = '/usr/local/mailman-b/qfiles'
#INQUEUE_DIR = '/usr/local/mailman-b/qfiles/in'
#OUTQUEUE_DIR = '/usr/local/mailman-b/qfiles/out'
#CMDQUEUE_DIR = '/usr/local/mailman-b/qfiles/commands'
#BOUNCEQUEUE_DIR = '/usr/local/mailman-b/qfiles/bounces'
#NEWSQUEUE_DIR = '/usr/local/mailman-b/qfiles/news'
#ARCHQUEUE_DIR = '/usr/local/mailman-b/qfiles/archive'
#SHUNTQUEUE_DIR = '/usr/local/mailman-b/qfiles/shunt'
#VIRGINQUEUE_DIR = '/usr/local/mailman-b/qfiles/virgin'
#BADQUEUE_DIR = '/usr/local/mailman-b/qfiles/bad'
#RETRYQUEUE_DIR = '/usr/local/mailman-b/qfiles/retry'

# Best, so that each master's log is its own.
#LOG_DIR = '/usr/local/mailman-b/logs'

# In both trees, where MTA = 'Postfix' wrote data/aliases: mm-aliases sync adds what new lists need.
#MTA = None
