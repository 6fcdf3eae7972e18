# Follows the job in the working directory: prints what is new of `out` and `err` from the given offsets until `rc` is there. Whole
# blocks go straight from dd to the connection; only the ends of a stretch pass through pipes that cut them to size.
# What is looked at in every round is read by the shell itself: a process costs a slow guest more than the round's pause.
# When nobody takes the output any more, because the connection is gone, it ends.
#
# The statuses are about the job and none the command's own. Success has one too: a login shell that runs nothing ends with 0.
#
# status: 88 succeeded the command ended with 0
# status: 89 failed it ended with another status, which is in `rc`
# status: 92 died whoever ran it is gone, and there is no `rc`
# status: 93 rebooted it ran in an earlier boot
: "${out_at?bytes of out that were delivered before}"
: "${err_at?the same of err}"

emit() {
  [ -s "$1" ] || return 1
  s=$(($(wc -c <"$1"))); [ "$s" -gt "$2" ] || return 1
  skip=$(($2/65536)) rest=$(($2%65536))
  if [ $rest -eq 0 ] && [ $((s-$2)) -ge 65536 ]; then
    n=$(((s-$2)/65536)) s=$(($2+(s-$2)/65536*65536)) much=1
    dd if="$1" bs=65536 skip=$skip count=$n 2>/dev/null || exit 1
  else
    [ $((s-$2)) -le $((65536-rest)) ] || s=$(($2+65536-rest))
    dd if="$1" bs=65536 skip=$skip count=1 2>/dev/null | tail -c +$((rest+1)) | head -c $((s-$2)) || exit 1
  fi
}
now=; { read -r now </proc/sys/kernel/random/boot_id; } 2>/dev/null
pause=0.01; unborn=0
# shellcheck disable=SC2094 # whether rc is there is asked last, and it is not written here
while :; do
  over=; [ -e rc ] && over=1
  quiet=1 much=
  emit out "$out_at" && { out_at=$s; quiet=; }
  emit err "$err_at" >&2 && { err_at=$s; quiet=; }
  [ ! "$much" ] || continue
  if [ "$over" ]; then
    [ "$quiet" ] || continue
    read -r code <rc; [ "$code" = 0 ] || exit 89
    exit 88
  fi
  if [ -s boot ]; then read -r boot <boot; [ "$boot" = "$now" ] || [ -e rc ] || exit 93; fi
  if [ -s pid ]; then read -r pid <pid; kill -0 "$pid" 2>/dev/null || [ -e rc ] || exit 92
  # Claimed, and for half a minute nobody says that he runs it: a crash of the guest took the file, or the claimer, away.
  else unborn=$((unborn+1)); [ $unborn -lt 150 ] || [ -e rc ] || exit 92; fi
  case $quiet$pause in 0.1 | 0.2) pause=0.05 ;; esac
  sleep $pause 2>/dev/null || sleep 1
  case $pause in 0.01) pause=0.02 ;; 0.02) pause=0.05 ;; 0.05) pause=0.1 ;; *) pause=0.2 ;; esac
done
