// Package allinone runs the whole platform in one process tree, for one machine and for the end-to-end tests.
package allinone

import (
	"fmt"
	"os"
	"path/filepath"

	"consilium/internal/serve"
	"consilium/internal/wire"
	"consilium/services/fusion"
)

// Settings are what a platform on one machine can be told.
type Settings struct {
	// Settings.Listen is where the public interface listens; every other part takes a free port on the
	// loopback interface.
	wire.Settings
	// State is the folder of the database and of the uploaded bytes.
	State string `env:"STATE"`
	// PostgresURL and RedisURL are the servers to use; without one a private server is started below State.
	PostgresURL string `env:"POSTGRES_URL"`
	RedisURL    string `env:"REDIS_URL"`
	// Fusion is read here only so that its mistakes are named with the others, before anything starts.
	Fusion fusion.Config
}

// DefaultListen is where the public interface listens if no setting says otherwise.
const DefaultListen = "127.0.0.1:8080"

// LoadSettings reads the settings; the error lists every mistake, each by the name of its setting.
func LoadSettings(getenv func(string) string) (*Settings, error) {
	s := &Settings{Settings: wire.Settings{Config: serve.Config{Listen: DefaultListen}}}
	if err := serve.Load(getenv, s); err != nil {
		return nil, err
	}
	if s.State == "" {
		state, err := defaultState()
		if err != nil {
			return nil, fmt.Errorf("%sSTATE: %w", serve.Prefix, err)
		}
		s.State = state
	}
	return s, nil
}

// defaultState is in the user's home, except for root: its databases run as another user, who may not enter /root.
func defaultState() (string, error) {
	if os.Getuid() == 0 {
		return "/var/lib/consilium/state", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "share", "consilium"), nil
}
