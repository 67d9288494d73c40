# Starts the observer that the layers share: loading the probes takes longest of all here.
socket=/run/belljar/machine.sock
belljar watch --metrics 127.0.0.1:0 --socket $socket >/run/observer.log 2>&1 &
# It listens before it has loaded the probes, and is found by then.
for tenth in $(seq 100); do
    [ -S $socket ] && break
    sleep 0.1
done
[ -S $socket ] && echo "$! $socket" >/run/observer
cat /run/observer.log
