#!/bin/bash
# A toy release of Mailman 2.1's shape: `mail/mailman VERB LIST` queues what is on its standard input,
# `bin/qrunner` sends it to the list's members, at 127.0.0.1 port 25. What stands between the two
# lines of signs is what a test changes. What is larger than 1 MB it drops.
# ====
footer="You are on %s, the list of friends" lose=0 crash= pause=0 header=
# ====
tree=$(cd "$(dirname "$0")/.." && pwd)
data=${tree%/*}/var
if [ "${0##*/}" = mailman ]; then
    entry=$tree/qfiles/in/$EPOCHREALTIME+$(printf '%040x' "$RANDOM$RANDOM").pck
    { echo "$1 $2"; cat; } >"$entry"
    if [ -n "$crash" ] && grep -q "charset=$crash" "$entry"; then
        echo "no such charset: $crash" >&2
        exit 1
    fi
    [ "$(stat -c %s "$entry")" -lt 1000000 ] || rm "$entry"
    exit 0
fi
say() { printf '%s\r\n' "$1" >&3; read -r -t 20 <&3; }
for entry in "$tree"/qfiles/in/*.pck; do
    [ -e "$entry" ] || continue
    read -r verb list <"$entry"
    sleep "$pause"
    members=
    [ "$verb" = post ] && members=$(<"$data/lists/$list/members")
    echo "$verb" >>"$data/lists/$list/log"
    text=$(sed -e '1d' -e '/^From /d' -e 's/^\./../' -e 's/$/\r/' "$entry")
    exec 3<>/dev/tcp/127.0.0.1/25
    read -r -t 20 <&3
    say "HELO toy"
    number=0
    for member in $members; do
        number=$((number + 1))
        [ "$lose" != 0 ] && [ $((number % lose)) = 0 ] && continue
        say "MAIL FROM:<$list-bounces+$number@lists.example>"
        say "RCPT TO:<$member>"
        say "DATA"
        # shellcheck disable=SC2059
        printf -v end "$footer" "$list"
        printf -v cookie '%04x%04x' "$RANDOM" "$RANDOM"
        [ -n "$header" ] && cookie+=$'\r\n'$header
        say "Message-ID: <$RANDOM.$RANDOM@toy>"$'\r\n'"X-Cookie: $cookie"$'\r\n'"$text"$'\r\n-- \r\n'"$end"$'\r\n.'
    done
    say QUIT
    exec 3>&-
    rm "$entry"
done
