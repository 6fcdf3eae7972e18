#!/bin/sh
# Joins the page of the shared folder with what the database has, and serves it.
set -eu
root=/run/shop
mkdir -p "$root"
if command -v python3 >/dev/null; then
  stock=$(python3 -c 'from urllib.request import urlopen; print(urlopen("http://db:5432/stock.txt").read().decode())')
else
  stock=$(busybox wget -qO- http://db:5432/stock.txt)
fi
sed -e "s/@HOST@/$(hostname)/" -e "s/@STOCK@/$stock/" /srv/www/index.html >"$root/index.html"
if command -v python3 >/dev/null; then
  setsid python3 -m http.server 80 --directory "$root" >/dev/null 2>&1 </dev/null &
else
  setsid busybox httpd -f -p 80 -h "$root" >/dev/null 2>&1 </dev/null &
fi
