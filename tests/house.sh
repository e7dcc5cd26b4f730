#!/bin/sh
# The house rules a program can check; CONTRIBUTING.md has them in words.
set -u
bad=0

complain() {
    printf '%s\n' "$*"
    bad=1
}

# A layer includes only itself, lower ones, and public headers.
layer_of() {
    case $1 in
    base) echo 0 ;;
    crypto | http | store | attr | conf) echo 1 ;;
    aws) echo 2 ;;
    table | s3) echo 3 ;;
    provider | keyring) echo 4 ;;
    ddbec | esdk | s3ec) echo 5 ;;
    sealed) echo 6 ;;
    cli) echo 7 ;;
    *) echo 9 ;;
    esac
}
for file in $(git ls-files 'src/*/*.[ch]' | grep -v '^src/keybridge/'); do
    own=$(printf '%s' "$file" | cut -d/ -f2)
    included=$(sed -n 's/^#include "\([a-z0-9]*\)\/.*/\1/p' "$file" | sort -u)
    for other in $included; do
        [ "$other" = "$own" ] && continue
        if [ "$own" = cli ]; then
            complain "$file: the command includes public headers only, not $other/"
        elif [ "$(layer_of "$other")" -ge "$(layer_of "$own")" ]; then
            complain "$file: layer $own may not include $other/"
        fi
    done
done

# Libraries have one home each.
home_of() { # header pattern, allowed files
    for file in $(git grep -l "^#include <$1" -- 'src/*' 'keystore/*'); do
        printf '%s' "$file" | grep -Eq "$2" || complain "$file: $1 does not belong here"
    done
}
home_of 'p11-kit/' '^keystore/'
home_of 'sqlite3' '^src/store/'
home_of 'openssl/' '^src/(crypto|base)/'
home_of 'curl/' '^src/http/'
home_of 'zlib' '^src/aws/answer'
home_of 'expat' '^src/s3/xml'
home_of 'cjson/' '^(src/(aws|conf|cli|ddbec|s3ec|sealed)|keystore/vault_(ex|im)port)'

# Exports, public headers and documentation name the same functions.
declared=$(cat src/keybridge/*.h | tr '\n' ' ' | sed 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/::g' |
    grep -o '[ *]kb_[a-z0-9_]*(' | tr -d ' *(' | sort -u)
exported=$(sort -u src/keybridge.sym)
[ "$declared" = "$exported" ] ||
    complain "src/keybridge.sym and the public headers differ:
$(printf '%s\n' "$declared" >house-a.tmp && printf '%s\n' "$exported" >house-b.tmp && diff house-a.tmp house-b.tmp)"
rm -f house-a.tmp house-b.tmp

# Calls that have no place here.
banned='\b(gets|strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|rand|srand|system|popen|alloca|memcmp_secret)\('
git grep -nE "$banned" -- 'src/*.c' 'keystore/*.c' && complain 'a banned call (see above)'
git grep -nE '\b(abort|exit)\(' -- 'src/*.c' ':!src/cli' && complain 'the library never exits'
git grep -nE '\b(printf|puts|fprintf|perror)\(' -- 'src/*.c' ':!src/cli' && complain 'the library never prints'
git grep -nE '\b(TODO|FIXME|HACK)\b|XXX:' -- src keystore tests ':!tests/house.sh' && complain 'left to do (see above)'
git grep -nE 'C_Verify(Init)?\(' -- 'keystore/*.c' ':!keystore/probe.c' && complain 'MACs are compared by us'

# A file holds one idea, a function can be seen whole.
for file in $(git ls-files 'src/*.c' 'keystore/*.c'); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 600 ] || complain "$file has $lines lines (600 at most)"
    awk -v file="$file" '
        /^[a-z].*\)$|^[a-z].*[,(]$/ { start = NR }
        /^{/ { body = NR }
        /^}/ { if (body && NR - body > 70) { print file ":" body ": a function of " NR - body " lines"; bad = 1 } body = 0 }
        END { exit bad }' "$file" || bad=1
done
# shellcheck disable=SC2046  # names without blanks
wide=$(LC_ALL=C.UTF-8 wc -L $(git ls-files '*.[ch]') | awk '$1 > 100 && $2 != "total" { print $2 }')
[ -z "$wide" ] || complain "lines of more than 100 columns: $wide"

exit $bad
