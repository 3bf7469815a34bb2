# Postfix, with every map type that Debian packages for aliases. Read by make.sh.

packages=(postfix postfix-lmdb postfix-cdb)
# "No configuration": the package's own calls of `postconf -e` sleep two seconds each.
hooks=(--essential-hook='echo postfix postfix/main_mailer_type select No configuration | chroot "$1" debconf-set-selections')

furnish() {
    # Debian's main.cf for an Internet site, what we ship, and what a test needs otherwise.
    {
        cat "$half/usr/share/postfix/main.cf.debian" "$contrib/main.cf"
        cat <<CONF

myhostname = $host
mydestination = $host, localhost
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_tls_security_level = none
disable_dns_lookups = yes
default_transport = error:there is no mail to elsewhere
maillog_file = /var/log/mail.log
mailbox_size_limit = 0
message_size_limit = 60000000
# A deferred message waits until the test says so.
minimal_backoff_time = 3600s
maximal_backoff_time = 7200s
queue_run_delay = 3600s
# Many senders at once are one client here.
smtpd_client_connection_count_limit = 0
# Who asks for many recipients and sends nothing is not slowed down.
in_flow_delay = 0s
CONF
    } >"$half/etc/postfix/main.cf"
    # Nothing chrooted: the files that this needs are copied by Debian's init script only.
    # local(8), which runs the pipes, never is. The listener is added with its port by the test.
    awk '/^[#[:space:]]/ || NF < 8 { print; next }
         $2 == "inet" { next }
         { $5 = "n"; print }' "$half/usr/share/postfix/master.cf.dist" >"$half/etc/postfix/master.cf"
    : >"$half/etc/aliases"
}
