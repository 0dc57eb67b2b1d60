#!/bin/sh
# Makes the certificates of this folder anew: an authority, servers and clients that it vouches for,
# and a client that it does not. They are valid for a hundred years, and good for tests alone.
set -eu
cd "$(dirname "$0")"

authority() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
        -subj "/CN=$1 of airgate's tests" -keyout "$1.key" -out "$1.pem" 2>/dev/null
}

certificate() { # NAME AUTHORITY EXTENSIONS
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.csr" 2>/dev/null
    printf '%s\n' "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -days 36500 -extfile "$1.ext" \
        -out "$1.pem" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
}

authority ca
authority stranger-ca
certificate airflow ca "subjectAltName=DNS:airflow.example.com,DNS:localhost,IP:127.0.0.1"
certificate renewed ca "subjectAltName=DNS:airflow.example.com,DNS:localhost,IP:127.0.0.1"
certificate wildcard ca "subjectAltName=DNS:*.apps.example.com"
certificate client ca "extendedKeyUsage=clientAuth"
certificate stranger stranger-ca "extendedKeyUsage=clientAuth"
rm -f stranger-ca.key

# One that has ended, which `openssl x509` cannot make.
openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=expired" \
    -keyout expired.key -out expired.csr 2>/dev/null
printf 'subjectAltName=DNS:airflow.example.com,DNS:localhost,IP:127.0.0.1\n' > expired.ext
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=expired.index\nnew_certs_dir=.\ndefault_md=sha256\nrand_serial=yes\npolicy=p\n[p]\ncommonName=supplied\n' > expired.cnf
: > expired.index
openssl ca -batch -notext -config expired.cnf -cert ca.pem -keyfile ca.key -startdate 20200101000000Z \
    -enddate 20200102000000Z -extfile expired.ext -outdir . -in expired.csr -out expired.pem 2>/dev/null
rm -f expired.csr expired.ext expired.cnf expired.index* [0-9A-F]*.pem
