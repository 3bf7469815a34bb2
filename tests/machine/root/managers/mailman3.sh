# GNU Mailman 3 core in two releases, as trees /opt/mailman3/a and b: a virtual environment each.
# In /opt/mailman3/site are a configuration, a database and lists for each, to be copied to
# /srv/mailman3; LMTP_PORT and SMTP_PORT in mailman.cfg are put in by the test. Read by manager.sh.

packages=(python3 python3-venv)

# What both releases work with, so that a newer release of one of these changes no test.
readonly PINNED='
click==8.1.7
falcon==3.1.3
gunicorn==23.0.0
flufl.bounce==4.0
flufl.i18n==5.1.0
flufl.lock==8.1.0
lazr.config==3.1
lazr.delegates==2.1.1
python-dateutil==2.9.0.post0
zope.component==6.0
zope.configuration==6.0
zope.interface==7.2
zope.schema==7.0.1'

# with_network COMMAND...: in the root, reaching what this host reaches, by its settings.
with_network() {
    local file from=()
    # The root itself asks no name server (make.sh).
    echo 'hosts: files dns' >"$scratch/nsswitch.conf"
    for file in /etc/resolv.conf /etc/hosts /etc/ssl /etc/pip.conf; do
        [ ! -e "$file" ] || from+=("$file")
    done
    unshare --mount --propagation private --pid --fork --kill-child=KILL \
        bash -ec 'half=$1 count=$2; shift 2
            for ((; count > 0; count--)); do
                if [ -d "$1" ]; then mkdir -p "$half$1"; elif [ ! -e "$half$1" ]; then : >"$half$1"; fi
                mount --bind "$1" "$half$1"
                shift
            done
            mount --bind "$1" "$half/etc/nsswitch.conf"
            shift
            mount --rbind /dev "$half/dev"
            exec chroot "$half" env PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"' \
        with_network "$half" ${#from[@]} "${from[@]}" "$scratch/nsswitch.conf" "$@" 9>&-
}

# install_tree TREE RELEASE PIN...
install_tree() {
    local tree=/opt/mailman3/$1 release=$2
    shift 2
    in_half python3 -m venv "$tree"
    printf '%s\n' "$PINNED" "$@" >"$half/tmp/constraints.txt"
    with_network "$tree/bin/pip" install --quiet --no-cache-dir wheel 'setuptools<80'
    with_network "$tree/bin/pip" install --quiet --no-cache-dir --no-build-isolation \
        --constraint /tmp/constraints.txt "mailman==$release"
    rm "$half/tmp/constraints.txt"
    in_half "$tree/bin/mailman" --version
}

# Each tree has its own data, database and ports: two releases can share none of them.
configure() {
    local site=/srv/mailman3/$1 schema runner
    mkdir -p "$half$site"
    cat >"$half$site/mailman.cfg" <<CONF
[mailman]
layout: test
site_owner: postmaster@$host

[paths.test]
var_dir: $site/var
queue_dir: \$var_dir/queue
log_dir: \$var_dir/logs
lock_dir: \$var_dir/locks
data_dir: \$var_dir/data
cache_dir: \$var_dir/cache
etc_dir: $site
messages_dir: \$var_dir/messages
archive_dir: \$var_dir/archives
template_dir: \$var_dir/templates
pid_file: \$var_dir/master.pid
lock_file: \$lock_dir/master.lck

[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///$site/var/data/mailman.db

[mta]
incoming: mailman.mta.postfix.LMTP
outgoing: mailman.mta.deliver.deliver
lmtp_host: 127.0.0.1
lmtp_port: LMTP_PORT
smtp_host: 127.0.0.1
smtp_port: SMTP_PORT
configuration: $site/postfix.cfg
CONF
    # Its generated maps are of no use here.
    printf '[postfix]\npostmap_command: /bin/true\ntransport_file_type: regex\n' >"$half$site/postfix.cfg"
    # What a delivery needs runs; a runner costs some 70 MB.
    for runner in archive digest nntp rest retry task; do
        for schema in "$half/opt/mailman3/$1"/lib/python*/site-packages/mailman/config/*.cfg; do
            grep -q "^\[runner.$runner\]" "$schema" || continue
            printf '\n[runner.%s]\nstart: no\n' "$runner" >>"$half$site/mailman.cfg"
            break
        done
    done
    in_half chown -R list:list "$site"
}

# mailman TREE WORDS
mailman() {
    local tree=$1
    shift
    in_half setpriv --reuid=list --regid=list --clear-groups env HOME=/srv/mailman3 \
        "/opt/mailman3/$tree/bin/mailman" -C "/srv/mailman3/$tree/mailman.cfg" "$@"
}

furnish() {
    local tree list
    install_tree a 3.3.8 SQLAlchemy==1.4.54 alembic==1.8.1
    install_tree b 3.3.10 SQLAlchemy==2.0.36 alembic==1.14.0
    printf '%s\n' "sender@$host" m1@member.example m2@member.example >"$half/tmp/members"
    for tree in a b; do
        configure $tree
        sed -i 's/: [A-Z]*_PORT$/: 1/' "$half/srv/mailman3/$tree/mailman.cfg"
        for list in quietlist toylist; do
            mailman $tree create --quiet "$list@$host"
            mailman $tree addmembers /tmp/members "$list@$host"
        done
        configure $tree
    done
    # Without the words of welcome that wait there.
    rm -r "$half/tmp/members" "$half"/srv/mailman3/*/var/queue
    mv "$half/srv/mailman3" "$half/opt/mailman3/site"
}
