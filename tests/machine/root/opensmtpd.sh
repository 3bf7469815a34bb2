# OpenSMTPD. Read by make.sh.

packages=(opensmtpd)

furnish() {
    # The table's type and the port are put in by the test.
    cat >"$half/etc/smtpd.conf" <<CONF
table aliases TABLE
listen on 127.0.0.1 port PORT
listen on socket
action "local" mbox alias <aliases>
match from any for domain { "$host", "localhost" } action "local"
match from any for local action "local"
CONF
    mkdir -p "$half/run/smtpd" "$half/var/empty"
    : >"$half/etc/aliases"
}
