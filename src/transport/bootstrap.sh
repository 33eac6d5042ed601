# Runs on the host, in any POSIX shell, before anything else: finds or takes the helper, verifies
# it and becomes it. The controller fills in @NONCE@, @DIRECTORY@, @HELPERS@
# and @FIRST@, the first message for the helper; the script speaks first:
#   fleet:<nonce>:need <architecture>  then stdin: the size, a line feed, the bytes as gzip packs them
#   fleet:<nonce>:run                  from here on stdin and stdout are the helper's
#   fleet:<nonce>:foreign <architecture>, fleet:<nonce>:error <text>  then it ends
say() { printf "fleet:@NONCE@:%s\n" "$*"; }
die() { say error "$*"; exit 1; }
# Tasks must not inherit our mask.
mask=$(umask)
umask 077
# Logins other than root's often lack where the programs for administrators are.
for sbin in /usr/local/sbin /usr/sbin /sbin; do
  case :$PATH: in
  *:$sbin:*) ;;
  *) PATH=$PATH:$sbin ;;
  esac
done
export PATH
arch=$(uname -m) || die "uname is missing"
case $arch in
"@HELPERS@") sha256= ;;
*) say foreign "$arch"; exit 1 ;;
esac
directory=@DIRECTORY@
[ -n "$directory" ] || directory=${FLEET_STATE_DIR-}
if [ -z "$directory" ]; then
  if [ "$(id -u)" = 0 ]; then directory=/var/lib/fleet; else directory=${HOME-}/.cache/fleet; fi
fi
case $directory in
/?*) ;;
*) die "the directory for the helper, $directory, is no absolute path: is HOME set?" ;;
esac
# Whoever could write there could put a program in the place of ours between check and start.
[ ! -L "$directory" ] || die "$directory is a symbolic link: the helper is not kept behind one"
root="or become root, whose helper is kept in /var/lib/fleet"
if [ ! -d "$directory" ] && ! mkdir -p "$directory"; then
  [ "$directory" != "${HOME-}/.cache/fleet" ] || [ -d "$HOME" ] ||
    die "the home directory $HOME does not exist, and the helper is kept in $directory: make it for $(id -un), $root"
  die "cannot make the directory $directory: make it for $(id -un), with mode 0700, $root"
fi
[ -O "$directory" ] ||
  die "$directory belongs to another user, so the helper is not safe there: chown it to $(id -un)"
chmod 0700 "$directory" || die "cannot make $directory private"
command -v sha256sum >/dev/null || die "sha256sum is missing: it is needed to verify the helper"
genuine() {
  [ -f "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && sum=$(sha256sum <"$1") && [ "${sum%% *}" = "$sha256" ]
}
helper=$directory/helper-$sha256
if ! genuine "$helper"; then
  command -v gzip >/dev/null || die "gzip is missing: it is needed to unpack the helper"
  upload=$(mktemp "$directory/.upload-XXXXXX") || die "cannot make a file in $directory: is there space, and is it writable?"
  trap "rm -f \"\$upload\"" EXIT
  trap "exit 1" HUP INT TERM
  say need "$arch"
  read -r size || exit 1
  head -c "$size" | gzip -dc >"$upload" || die "cannot write the helper to $directory: is there space?"
  genuine "$upload" || die "the helper arrived damaged in $directory"
  { chmod 0700 "$upload" && mv -f "$upload" "$helper"; } || die "cannot keep the helper as $helper"
  trap - EXIT HUP INT TERM
  # What an upload that was killed left behind, but not what another one writes right now; and the
  # helpers of other versions of fleet, but not one that such a fleet may be starting right now.
  find "$directory" -name ".upload-*" -mmin +60 -exec rm -f {} + 2>/dev/null
  find "$directory" -name "helper-*" ! -name "helper-$sha256" -mtime +0 -exec rm -f {} + 2>/dev/null
fi
[ -f "$helper" ] || die "the helper is gone from $directory: did somebody clean up there?"
[ -x "$helper" ] || die "$directory is mounted noexec, and the helper cannot run there: mount something without noexec on it, $root"
umask "$mask"
say run
exec "$helper" serve @FIRST@
