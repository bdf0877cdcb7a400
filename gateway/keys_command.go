package gateway

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"consilium/internal/analysis"
	"consilium/internal/postgres"
	"consilium/internal/serve"
)

// errKeyUsage shows how the command is used.
var errKeyUsage = errors.New("usage: gateway key create -tenant NAME -name NAME [-sign] [-manage] | gateway key list | gateway key revoke -tenant NAME -name NAME")

// runKey makes, lists and revokes keys in the database that the settings name.
func runKey(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errKeyUsage
	}
	flags := flag.NewFlagSet("gateway key "+args[0], flag.ContinueOnError)
	flags.SetOutput(stderr)
	var key analysis.Key
	flags.StringVar(&key.Tenant, "tenant", "", "the tenant, which is made if there is none of that name: lower-case letters, digits and -")
	flags.StringVar(&key.Name, "name", "", "the name of the key, such as that of the person who has it")
	flags.BoolVar(&key.Sign, "sign", false, "the key may sign, amend and reject reports")
	flags.BoolVar(&key.Manage, "manage", false, "the key may restore an export and delete everything")
	if err := flags.Parse(args[1:]); err != nil || flags.NArg() > 0 {
		return errKeyUsage
	}
	url := getenv(serve.Prefix + "POSTGRES_URL")
	if url == "" {
		return fmt.Errorf("%sPOSTGRES_URL is required: keys are stored in the database", serve.Prefix)
	}
	if err := postgres.Migrate(ctx, url); err != nil {
		return err
	}
	store, err := postgres.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer store.Close()
	switch args[0] {
	case "create":
		return createKey(ctx, store, &key, stdout)
	case "revoke":
		if err := store.RevokeKey(ctx, key.Tenant, key.Name); err != nil {
			return fmt.Errorf("revoke the key %q of %q: %w", key.Name, key.Tenant, err)
		}
		return nil
	case "list":
		return listKeys(ctx, store, stdout)
	}
	return errKeyUsage
}

func createKey(ctx context.Context, store *postgres.Store, key *analysis.Key, stdout io.Writer) error {
	if key.Tenant == "" || key.Name == "" {
		return errKeyUsage
	}
	if err := checkWords("name", key.Name); err != nil {
		return err
	}
	secret, err := store.CreateKey(ctx, key)
	if err != nil {
		return fmt.Errorf("make the key %q of %q: %w", key.Name, key.Tenant, err)
	}
	_, err = fmt.Fprintln(stdout, secret) // once: it is stored nowhere
	return err
}

func listKeys(ctx context.Context, store *postgres.Store, stdout io.Writer) error {
	keys, err := store.Keys(ctx)
	if err != nil {
		return err
	}
	for _, k := range keys {
		may, state := "", "since "+k.CreatedAt.UTC().Format("2006-01-02")
		if k.Sign {
			may += " sign"
		}
		if k.Manage {
			may += " manage"
		}
		if k.RevokedAt != nil {
			state = "revoked " + k.RevokedAt.UTC().Format("2006-01-02")
		}
		if _, err := fmt.Fprintf(stdout, "%s\t%s\t%s%s\n", k.Tenant, k.Name, state, may); err != nil {
			return err
		}
	}
	return nil
}
