# Sendmail, as Debian configures it: pipes run by /bin/sh, no smrsh. Read by make.sh.

# Sendmail can log nowhere but to syslog: busybox has a syslogd. sensible-mda picks the
# program for mailboxes.
packages=(sendmail sendmail-bin sensible-mda busybox)

furnish() {
    # confDOMAIN_NAME: without a host name that resolves, Sendmail sleeps for a minute.
    # service.switch-nodns: hosts come from /etc/hosts alone.
    # The load averages at which it queues only, or refuses: a test machine is a busy one.
    local settings="define(\`confDOMAIN_NAME', \`$host')dnl
define(\`confSERVICE_SWITCH_FILE', \`/etc/mail/service.switch-nodns')dnl
define(\`confQUEUE_LA', \`10000')dnl
define(\`confREFUSE_LA', \`10000')dnl"
    local etc=$half/etc/mail word
    printf 'localhost\n%s\n' "$host" >"$etc/local-host-names"
    # The port is put in by the test. What would slow down many clients from one address is out.
    awk -v settings="$settings" '
        /Name=MSP-v4/ || /greet_pause|conncontrol|ratecontrol|confCONNECTION_RATE|confBAD_RCPT_THROTTLE/ { next }
        /Name=MTA-v4/ { sub(/Port=smtp/, "Port=PORT") }
        { print }
        /^OSTYPE/ { print settings }' "$etc/sendmail.mc" >"$etc/new.mc"
    mv "$etc/new.mc" "$etc/sendmail.mc"
    grep -q 'Port=PORT' "$etc/sendmail.mc"
    in_half sh -ec 'cd /etc/mail; m4 sendmail.mc >sendmail.cf 2>/dev/null'
    # The same, as we ship it for a host with smrsh.
    awk -v smrsh="$contrib/smrsh.mc" '
        /^MAILER_DEFINITIONS/ { while ((getline line <smrsh) > 0) print line }
        { print }' "$etc/sendmail.mc" >"$etc/smrsh.mc"
    in_half sh -ec 'cd /etc/mail; m4 smrsh.mc >smrsh.cf 2>/dev/null'
    cp "$contrib/smrsh-link" "$half/usr/local/sbin/"
    for word in PORT QueueLA=10000 RefuseLA=10000 "Dj$host"; do grep -q -- "$word" "$etc/sendmail.cf"; done
    # What Debian's init script makes.
    mkdir -p "$half"/run/sendmail/{mta,msp,stampdir}
    in_half chown smmta:smmsp /run/sendmail/mta /run/sendmail/stampdir
    in_half chown smmsp:smmsp /run/sendmail/msp
    chmod 02755 "$half/run/sendmail/mta"
    chmod 02775 "$half/run/sendmail/msp" "$half/run/sendmail/stampdir"
}
