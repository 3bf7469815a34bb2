"""from21.py POOL LIST LANGUAGE MEMBER...: a list of Mailman 2.1's shape, as Python 2 pickled it.

POOL is its data. The first MEMBER gets posts, the last one digests.
"""

import os
import sys

import Pickles


class BounceInfo:
    """An instance of an old-style class of Python 2's: no reconstructor, no __reduce__."""


def save_instance(pickler, thing):
    pickler.write(b"(cMailman.Bouncer\n_BounceInfo\no")
    pickler.memoize(thing)
    pickler.save(thing.__dict__)
    pickler.write(b"b")


Pickles._Pickler.dispatch[BounceInfo] = save_instance
pool, name, language, *members = sys.argv[1:]
bounced = BounceInfo()
bounced.__dict__.update(member=members[0].lower(), score=1.0, cookie=None, noticesleft=3)
keyed = {member.lower(): 0 if member == member.lower() else member for member in members}
digest = members[-1].lower()
config = {
    "_internal_name": name,
    "accept_these_nonmembers": ["^.*@friends\\.example$", "friend@member.example"],
    "acceptable_aliases": "",
    "admin_immed_notify": True,
    "archive": True,
    "archive_private": 0,
    "ban_list": [],
    "bounce_info": {members[0].lower(): bounced},
    "bounce_processing": True,
    "created_at": 1000000000.5,
    "data_version": 112,
    "default_member_moderation": 0,
    "delivery_status": {},
    "description": "toys, and who plays with them",
    "digest_members": {digest: keyed.pop(digest)},
    "digest_volume_frequency": 1,
    "dmarc_moderation_action": 1,
    "filter_action": 0,
    "from_is_list": 0,
    "generic_nonmember_action": 1,
    "header_filter_rules": [("X-Spam-Flag: YES\r\n", 3, False)],
    "host_name": "mx.lists.example",
    "info": "",
    "language": {},
    "last_post_time": 1600000000.25,
    "max_message_size": 40,
    "members": keyed,
    "member_moderation_action": 0,
    "moderator": [],
    "mod_password": None,
    "msg_footer": "_______\n%(real_name)s mailing list\n",
    "owner": ["Owner@member.example"],
    "password": "0123456789abcdef0123456789abcdef01234567",
    "passwords": {member.lower(): "secret" for member in members},
    "personalize": 0,
    "preferred_language": language,
    "private_roster": 1,
    "real_name": name.capitalize(),
    "reply_goes_to_list": 0,
    "send_welcome_msg": 1,
    "subject_prefix": "[%s] " % name,
    "subscribe_policy": 1,
    "topics": [],
    "user_options": {member.lower(): 0 for member in members},
    "usernames": {members[0].lower(): "Somebody"},
    "volume": 1,
    "web_page_url": "http://mx.lists.example/mailman/",
}
here = os.path.join(pool, "lists", name)
os.makedirs(here)


def write(path, thing):
    with open(path, "wb") as file:
        Pickles.dump(thing, file, 1)


write(os.path.join(here, "config.pck"), config)
write(os.path.join(here, "pending.pck"), {"a1": ("S",), "b2": ("S",), "evictions": {}, "version": 2})
write(os.path.join(here, "request.pck"), {1: (1, ()), 2: (2, ()), "version": (0, 1)})
os.makedirs(os.path.join(pool, "data"), exist_ok=True)
write(os.path.join(pool, "data", "heldmsg-%s-1.pck" % name), "held")
box = os.path.join(pool, "archives/private", name + ".mbox")
os.makedirs(box)
with open(os.path.join(box, name + ".mbox"), "w") as file:
    file.write("From a@b Sun Nov 22 10:02:00 2026\n\nhello\n")
