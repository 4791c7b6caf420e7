#!/bin/sh
# Certificates for a broker, its devices and its desks, into certs/ beside this file or CERTS. Two authorities
# of your own are made at the first call: ca for the broker and the devices, desk-ca for desks.
#   ./certificates.sh broker broker.example 192.0.2.1    names and addresses by which devices know the broker
#   ./certificates.sh device bridge-07                   also: ringpost-centre
#   ./certificates.sh desk technician
# DAYS is how long they are valid (365). Keep certs/ca.key and certs/desk-ca.key away from the broker and from
# every device and desk. A desk needs ca.pem, its own .pem and its .key.
set -eu

certs=${CERTS:-$(dirname "$0")/certs}
days=${DAYS:-365}
kind=${1:?broker, device or desk}
name=${2:?a name}
authority=ca
mkdir -p "$certs"

for one in ca desk-ca; do
    if [ ! -e "$certs/$one.pem" ]; then
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
            -subj "/CN=ringpost authority $one" -addext "keyUsage=critical,keyCertSign,cRLSign" \
            -keyout "$certs/$one.key" -out "$certs/$one.pem" 2>/dev/null
    fi
done

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
device | desk)
    if [ "$name" = broker ] || [ "$name" = ca ] || [ "$name" = desk-ca ]; then
        echo "certificates.sh: no $kind can be named '$name'" >&2
        exit 2
    fi
    file=$name usage=clientAuth extra="subjectAltName=DNS:$name"
    [ "$kind" = device ] || authority=desk-ca
    ;;
*)
    echo "certificates.sh: '$kind' is none of broker, device, desk" >&2
    exit 2
    ;;
esac

extensions=$(mktemp)
trap 'rm -f "$extensions"' EXIT
printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=%s\n%s\n' "$usage" "$extra" >"$extensions"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$certs/$file.key" 2>/dev/null |
    openssl x509 -req -CA "$certs/$authority.pem" -CAkey "$certs/$authority.key" -CAcreateserial -days "$days" \
        -extfile "$extensions" -out "$certs/$file.pem" 2>/dev/null
chmod 600 "$certs/$file.key"
if [ "$kind" = broker ] && [ "$(id -u)" = 0 ] && getent group mosquitto >/dev/null; then
    # mosquitto reads its key after it has given up root's rights
    chgrp mosquitto "$certs" "$certs/broker.key" "$certs/broker.pem" "$certs/ca.pem" "$certs/desk-ca.pem"
    chmod g+rx "$certs"
    chmod g+r "$certs/broker.key" "$certs/broker.pem" "$certs/ca.pem" "$certs/desk-ca.pem"
fi
echo "$certs/$file.pem"
