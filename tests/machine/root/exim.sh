# Exim with the configuration that Debian generates. Read by make.sh.

packages=(exim4-daemon-light)

furnish() {
    # Debian's settings for local mail only, from one file and not from many.
    sed -i -e "s/^dc_eximconfig_configtype=.*/dc_eximconfig_configtype='local'/" \
        -e "s/^dc_other_hostnames=.*/dc_other_hostnames='$host;localhost'/" \
        -e "s/^dc_minimaldns=.*/dc_minimaldns='false'/" \
        -e "s/^dc_use_split_config=.*/dc_use_split_config='false'/" \
        "$half/etc/exim4/update-exim4.conf.conf"
    # What we ship, and what a test needs otherwise. Debian takes any recipient from this host:
    # here a client is a stranger. After ten messages in one connection Exim would only queue.
    cat "$contrib/exim4.conf.localmacros" - >"$half/etc/exim4/exim4.conf.localmacros" <<CONF
MAIN_HARDCODE_PRIMARY_HOSTNAME = $host
MAIN_RELAY_NETS = 192.0.2.1
smtp_accept_queue_per_connection = 0
smtp_accept_max = 200
message_size_limit = 60M
CONF
    in_half update-exim4.conf
    mkdir -p "$half/run/exim4"
    in_half chown Debian-exim:Debian-exim /run/exim4
    : >"$half/etc/aliases"
}
