# What the stand-in for Mailman 2.1 (tests/machine/mailman21) is written in. Read by manager.sh.

packages=(python3-minimal)

furnish() {
    # Where its members get their mail.
    mkdir "$half/var/members"
    in_half chown list:list /var/members
}
