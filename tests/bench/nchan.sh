#!/bin/sh
# nginx with nchan as a peer to compare with, for fan-out: /ws, /ws?publish=a and /events of bare.c.
# One process in the foreground, its files in build/bench/nchan. Prints
# "listening on http://127.0.0.1:PORT".
# Usage: sh tests/bench/nchan.sh [REDIS_PORT [NAME]]
#     with Redis between publisher and readers; NAME: of this process, whose files are apart
set -eu
cd "$(dirname "$0")/../.."
dir="$PWD/build/bench/${2:-nchan}"
upstream='' pass=''
if [ -n "${1:-}" ]; then
    upstream="upstream redis { nchan_redis_server redis://127.0.0.1:$1; }"
    pass='nchan_redis_pass redis;'
fi
mkdir -p "$dir"
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')"
cat >"$dir/nginx.conf" <<END
load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
daemon off;
master_process off;
pid $dir/pid;
error_log $dir/error.log;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
http {
    access_log off;
    client_body_temp_path $dir;
    proxy_temp_path $dir;
    fastcgi_temp_path $dir;
    uwsgi_temp_path $dir;
    scgi_temp_path $dir;
    chunked_transfer_encoding off;
    tcp_nodelay on;
    nchan_message_buffer_length 64;
    $upstream
    server {
        listen 127.0.0.1:$port backlog=4096;
        location = /ws {
            if (\$arg_publish) { rewrite ^ /publish last; }
            nchan_subscriber websocket;
            nchan_subscriber_first_message newest;
            nchan_channel_id a;
            $pass
        }
        location = /publish { nchan_publisher websocket; nchan_channel_id a; $pass }
        location = /events {
            nchan_subscriber eventsource;
            nchan_subscriber_first_message newest;
            nchan_channel_id a;
            $pass
        }
    }
}
END
/usr/sbin/nginx -q -t -c "$dir/nginx.conf" >&2
echo "listening on http://127.0.0.1:$port"
exec /usr/sbin/nginx -c "$dir/nginx.conf"
