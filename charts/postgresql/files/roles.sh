# Makes the database where there is none, then gives it the roles and passwords that the Secret has
# now, before there is a server that anybody reaches. In single-user mode, as PostgreSQL's own manual
# does it when passwords are lost.
set -eu
docker-entrypoint.sh postgres -C data_directory > /dev/null
superuser=$(cat "$PASSWORDS/superuser") owner=$(cat "$PASSWORDS/password")
# Quotes a password. Two such signs in a row are one after Kubernetes has read a command.
tag='$password$'
exporter=
if [ -n "$EXPORTER" ]; then exporter=$(cat "$PASSWORDS/exporter"); fi

statements() {
  cat << STATEMENTS
DO \$roles\$
DECLARE
  item record;
  first_role name := (SELECT rolname FROM pg_roles WHERE oid = 10);
BEGIN
  -- Databases made before there was an owner have that name for the superuser.
  IF first_role <> '$POSTGRES_USER' THEN
    CREATE ROLE renaming SUPERUSER;
    SET SESSION AUTHORIZATION renaming;
    EXECUTE format('ALTER ROLE %I RENAME TO %I', first_role, '$POSTGRES_USER');
    EXECUTE format('SET SESSION AUTHORIZATION %I', '$POSTGRES_USER');
    DROP ROLE renaming;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$DATABASE_OWNER') THEN
    CREATE ROLE "$DATABASE_OWNER";
  END IF;
  ALTER DATABASE "$POSTGRES_DB" OWNER TO "$DATABASE_OWNER";
  IF EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public' AND nspowner = 10) THEN
    ALTER SCHEMA public OWNER TO "$DATABASE_OWNER";
  END IF;
  FOR item IN
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relowner = 10
      AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      -- A column's sequence goes with its table.
      AND NOT EXISTS (
        SELECT FROM pg_depend
        WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i')
          AND relkind = 'S'
      )
  LOOP
    EXECUTE format('ALTER TABLE public.%I OWNER TO %I', item.relname, '$DATABASE_OWNER');
  END LOOP;
  FOR item IN
    SELECT typname FROM pg_type
    WHERE typnamespace = 'public'::regnamespace AND typowner = 10 AND typtype = 'e'
  LOOP
    EXECUTE format('ALTER TYPE public.%I OWNER TO %I', item.typname, '$DATABASE_OWNER');
  END LOOP;
  IF '$EXPORTER' <> '' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$EXPORTER') THEN
    CREATE ROLE "${EXPORTER:-exporter}" IN ROLE pg_monitor;
  END IF;
END
\$roles\$;

ALTER ROLE "$POSTGRES_USER" PASSWORD $tag$superuser$tag;

ALTER ROLE "$DATABASE_OWNER" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS
  PASSWORD $tag$owner$tag;

STATEMENTS
  if [ -n "$EXPORTER" ]; then
    echo "ALTER ROLE \"$EXPORTER\" LOGIN NOSUPERUSER PASSWORD $tag$exporter$tag;"
    echo
  fi
}

# A statement that fails is not logged: it has a password.
output=$(statements | postgres --single -j -D "$PGDATA" -c log_min_error_statement=panic "$POSTGRES_DB" 2>&1) || {
  echo "$output" >&2
  exit 1
}
case "$output" in
  *ERROR:* | *FATAL:*)
    echo "$output" >&2
    exit 1
    ;;
esac
