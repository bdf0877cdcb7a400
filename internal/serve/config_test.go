package serve

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// settings are a process's own, with the shared ones embedded.
type settings struct {
	Config
	Database string `env:"DATABASE,required"`
	Workers  int    `env:"WORKERS" envDefault:"4"`
	Cache    struct {
		Address string `env:"ADDRESS"`
		Size    int    `env:"SIZE"`
	} `envPrefix:"CACHE_"`
}

func environment(pairs ...string) func(string) string {
	values := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		values[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return values[name] }
}

func TestLoad(t *testing.T) {
	s := settings{Config: Config{Listen: "127.0.0.1:80"}}
	err := Load(environment("CONSILIUM_DATABASE", "d", "CONSILIUM_LOG_LEVEL", "debug", "CONSILIUM_LOG_FORMAT", "text",
		"CONSILIUM_DRAIN_TIMEOUT", "3s", "CONSILIUM_CACHE_ADDRESS", "a"), &s)
	if err != nil {
		t.Fatal(err)
	}
	want := settings{Config: Config{Listen: "127.0.0.1:80", LogLevel: slog.LevelDebug, LogFormat: "text",
		ReadTimeout: time.Minute, WriteTimeout: 2 * time.Minute, DrainTimeout: 3 * time.Second}, Database: "d", Workers: 4}
	want.Cache.Address = "a"
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
}

func TestLoadNamesEveryMistake(t *testing.T) {
	err := Load(environment("CONSILIUM_LISTEN", "80", "CONSILIUM_WORKERS", "many", "CONSILIUM_LOG_LEVEL", "loud",
		"CONSILIUM_LOG_FORMAT", "xml", "CONSILIUM_READ_TIMEOUT", "-1s", "CONSILIUM_CACHE_SIZE", "big"), new(settings))
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{"CONSILIUM_LISTEN: want host:port", "CONSILIUM_DATABASE: is required", "CONSILIUM_WORKERS: ",
		"CONSILIUM_LOG_LEVEL: ", "CONSILIUM_LOG_FORMAT: want json or text", "CONSILIUM_READ_TIMEOUT: want more than 0s", "CONSILIUM_CACHE_SIZE: "} {
		found := 0
		for _, line := range lines {
			if strings.HasPrefix(line, want) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d lines begin with %q in:\n%v", found, want, err)
		}
	}
	if len(lines) != 7 {
		t.Errorf("%d lines, want 7:\n%v", len(lines), err)
	}
}
