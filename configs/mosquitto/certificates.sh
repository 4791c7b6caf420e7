#!/bin/sh
# Certificates for one authority of your own, its broker and its devices, into certs/ beside this file or CERTS.
#   ./certificates.sh broker broker.example 192.0.2.1    names and addresses by which devices know the broker
#   ./certificates.sh device bridge-07                   also: ringpost-centre, technician
# DAYS is how long they are valid (365). Keep certs/ca.key away from the broker and from every device.
set -eu

certs=${CERTS:-$(dirname "$0")/certs}
days=${DAYS:-365}
kind=${1:?broker or device}
name=${2:?a name}
mkdir -p "$certs"

if [ ! -e "$certs/ca.pem" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=ringpost authority" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$certs/ca.key" -out "$certs/ca.pem" 2>/dev/null
fi

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
device)
    file=$name usage=clientAuth extra="subjectAltName=DNS:$name"
    ;;
*)
    echo "certificates.sh: '$kind' is neither broker nor device" >&2
    exit 2
    ;;
esac

extensions=$(mktemp)
trap 'rm -f "$extensions"' EXIT
printf 'basicConstraints=CA:FALSE\nextendedKeyUsage=%s\n%s\n' "$usage" "$extra" >"$extensions"
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" -keyout "$certs/$file.key" 2>/dev/null |
    openssl x509 -req -CA "$certs/ca.pem" -CAkey "$certs/ca.key" -CAcreateserial -days "$days" \
        -extfile "$extensions" -out "$certs/$file.pem" 2>/dev/null
echo "$certs/$file.pem"
