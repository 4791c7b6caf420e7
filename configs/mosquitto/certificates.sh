#!/bin/sh
# Certificates for a broker, its devices and its desks, into certs/ beside this file or CERTS. Two authorities
# of your own are made at the first call: ca for the broker and the devices, desk-ca for desks.
#   ./certificates.sh broker broker.example 192.0.2.1    names and addresses by which devices know the broker
#   ./certificates.sh device bridge-07                   also: ringpost-centre
#   ./certificates.sh desk anna                          a technician: ringpost-desk-anna
#   ./certificates.sh operator room-1                    answers alerts, configures nothing: ringpost-operator-room-1
#   ./certificates.sh sign bridge-07 bridge-07.csr       a request made on the device: command rotate_certificate
#   ./certificates.sh revoke ringpost-desk-anna          then copy both crl.pem to the broker, and restart it
# desk and operator give their user its rights in the file acl beside certs/, or say what to add there.
# DAYS is how long certificates are valid (365). Keep certs/ca.key and certs/desk-ca.key away from the broker
# and from every device and desk. A desk needs ca.pem, its own .pem and its .key.
set -eu
umask 077

certs=${CERTS:-$(dirname "$0")/certs}
acl=$certs/../acl
days=${DAYS:-365}
kind=${1:?broker, device, desk, operator, sign or revoke}
name=${2:?a name}
authority=ca
mkdir -p "$certs"

stop() {
    echo "certificates.sh: $1" >&2
    exit 2
}

# By root: mosquitto reads its files after it has given up root's rights.
for_the_broker() {
    [ "$(id -u)" = 0 ] && getent group mosquitto >/dev/null || return 0
    chgrp mosquitto "$certs" "$@"
    chmod g+rx "$certs"
    chmod g+r "$@"
}

# What `openssl ca` needs; it keeps the serial numbers of what was revoked in AUTHORITY.index.
authority_config() {
    touch "$certs/$1.index" "$certs/$1.index.attr"
    [ -e "$certs/$1.crlnumber" ] || echo 01 >"$certs/$1.crlnumber"
    cat >"$work" <<END
[ca]
default_ca = own
[own]
database = $certs/$1.index
crlnumber = $certs/$1.crlnumber
default_md = sha256
END
}

# A list that has expired would lock everybody out: it is valid for as long as the authority.
make_crl() {
    authority_config "$1"
    openssl ca -config "$work" -gencrl -crldays 3650 -cert "$certs/$1.pem" -keyfile "$certs/$1.key" \
        -out "$certs/$1.crl.pem" 2>/dev/null
    for_the_broker "$certs/$1.crl.pem"
}

work=$(mktemp)
trap 'rm -f "$work"' EXIT

for one in ca desk-ca; do
    if [ ! -e "$certs/$one.pem" ]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
            -subj "/CN=ringpost authority $one" -addext "keyUsage=critical,keyCertSign,cRLSign" \
            -keyout "$certs/$one.key" -out "$certs/$one.pem" 2>/dev/null
    fi
    [ -e "$certs/$one.crl.pem" ] || make_crl "$one"
done

usage=clientAuth
case $kind in
broker)
    file=broker usage=serverAuth names=
    shift
    for one in "$@"; do
        case $one in
        *[!0-9.]*) names="$names,DNS:$one" ;;
        *) names="$names,IP:$one" ;;
        esac
    done
    extra="subjectAltName=${names#,}"
    ;;
device | sign)
    case $name in
    ringpost-centre) ;;
    ringpost-* | host | groups | technician | centre | *-elsewhere) stop "no device can be named '$name'" ;;
    esac
    ;;
desk | operator)
    authority=desk-ca
    [ "$name" = technician ] || name=ringpost-$kind-$name # 'technician' is in the file acl from the beginning
    ;;
revoke) ;;
*)
    stop "'$kind' is none of broker, device, desk, operator, sign, revoke"
    ;;
esac
if [ "$kind" != broker ]; then
    # A name is a user, a level of topics and a file.
    case $name in
    '' | .* | *[!A-Za-z0-9._-]* | ca | desk-ca | ca.crl | desk-ca.crl) stop "no $kind can be named '$name'" ;;
    broker) [ "$kind" = revoke ] || stop "no $kind can be named 'broker'" ;;
    esac
    file=$name extra="subjectAltName=DNS:$name"
fi

if [ "$kind" = revoke ]; then
    ! openssl verify -no_check_time -CAfile "$certs/desk-ca.pem" "$certs/$file.pem" >/dev/null 2>&1 || authority=desk-ca
    authority_config "$authority"
    revoked=
    for one in "$certs/$file.pem" "$certs/issued/$file".*.pem; do # all that were ever made for this name
        ! openssl ca -config "$work" -revoke "$one" -cert "$certs/$authority.pem" \
            -keyfile "$certs/$authority.key" >/dev/null 2>&1 || revoked=yes
    done
    [ -n "$revoked" ] || stop "no certificate of '$name' in $certs, or all of them are revoked"
    make_crl "$authority"
    echo "$certs/$authority.crl.pem"
    exit
fi

if [ "$kind" = sign ]; then
    request=${3:?a file with the request}
    subject=$(openssl req -in "$request" -noout -verify -subject -nameopt RFC2253 2>/dev/null) || stop "no request in $request"
    [ "$subject" = "subject=CN=$name" ] || stop "the request is for ${subject#subject=}"
else
    request=$certs/$file.csr
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$certs/$file.key" \
        -out "$request" 2>/dev/null
fi
printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=%s\n%s\n' "$usage" "$extra" >"$work"
openssl x509 -req -in "$request" -CA "$certs/$authority.pem" -CAkey "$certs/$authority.key" -CAcreateserial -days "$days" \
    -extfile "$work" -out "$certs/$file.pem" 2>/dev/null
[ "$kind" = sign ] || rm "$request"
mkdir -p "$certs/issued" # so that revoke finds earlier ones, too
cp "$certs/$file.pem" "$certs/issued/$file.$(openssl x509 -in "$certs/$file.pem" -noout -serial | cut -d= -f2).pem"
if [ "$kind" = broker ]; then
    for_the_broker "$certs/broker.key" "$certs/broker.pem" "$certs/ca.pem" "$certs/desk-ca.pem" "$certs"/*ca.crl.pem
fi

case $name in
ringpost-desk-*) like=technician ;;
ringpost-operator-*) like=ringpost-operator ;;
*) like= ;;
esac
if [ -n "$like" ] && ! grep -qsx "user $name" "$acl"; then
    lines=$(sed -n "/^user $like\$/,/^\$/p" "$acl" 2>/dev/null | sed "s/^user .*/user $name/") || lines=
    if [ -n "$lines" ] && [ -w "$acl" ]; then
        printf '\n%s\n' "$lines" >>"$acl"
        echo "added user $name to $acl: copy it to the broker, and reload it" >&2
    else
        echo "in the broker's file acl, copy the lines of user $like for user $name" >&2
    fi
fi
echo "$certs/$file.pem"
