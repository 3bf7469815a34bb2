# OpenSMTPD. Read by make.sh.

packages=(opensmtpd)

furnish() {
    # As we ship it: the table's type and the port are changed by the test.
    cp "$contrib/smtpd.conf" "$half/etc/smtpd.conf"
    mkdir -p "$half/run/smtpd" "$half/var/empty"
    : >"$half/etc/aliases"
}
