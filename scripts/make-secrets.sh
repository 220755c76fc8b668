#!/bin/sh
# Make the secrets docker compose needs, once, in ./secrets: random, and never overwritten.
#
# master_key opens everything that is stored sealed: keep a copy apart from the database's backups.
set -eu
cd "$(dirname "$0")/.."

umask 077
mkdir -p secrets
chmod 700 secrets

random() { head -c "$1" /dev/urandom | base64 | tr -d '\n'; }
password() { random 24 | tr '+/' '-_' | tr -d '='; }

# The folder is closed; a file must be readable to the containers' users.
keep() {
    [ -e "secrets/$1" ] || printf '%s\n' "$2" >"secrets/$1"
    chmod 644 "secrets/$1"
}
kept() { cat "secrets/$1"; }
role() { keep "$1" "postgresql://$2:$(password)@postgres:5432/notifier"; }

keep postgres_password "$(password)"
keep admin_database_url "postgresql://postgres:$(kept postgres_password)@postgres:5432/postgres"
role migrator_database_url notifier_migrator
role database_url notifier_worker
role web_database_url notifier_web
keep valkey_password "$(password)"
keep redis_url "redis://:$(kept valkey_password)@valkey:6379/0"
keep master_key "$(date +%Y-%m):$(random 32)"
keep flower_basic_auth "operator:$(password)"
# Empty = the relay asks for no password.
keep smtp_password ""
# Empty = no text messages.
keep sms_auth_token ""
# For `mail-in`, of the database's keys: docker compose exec core notifier keys return-path >secrets/mail_in_key
keep mail_in_key ""

echo "secrets/ is complete; Flower's login is in secrets/flower_basic_auth."
echo "Keep a copy of secrets/master_key apart from the backups: without it nothing stored can be read."
