# Takes the claim of the job in the working directory, so that nobody can run it any more; true when nobody has, or had. A runner's
# claim is a directory, this one a file. A part of other programs.
fence() { [ -f claim ] || (set -C; : >claim) 2>/dev/null; }
