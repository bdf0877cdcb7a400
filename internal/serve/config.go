package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Prefix is the prefix of every setting of every process.
const Prefix = "CONSILIUM_"

// Config is what every process that serves HTTP can be told. A process embeds it in its own settings.
type Config struct {
	// Listen is the address to listen on; port 0 takes a free one.
	Listen    string     `env:"LISTEN"`
	LogLevel  slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	LogFormat LogFormat  `env:"LOG_FORMAT" envDefault:"json"`
	// ReadTimeout bounds the reading of one request with its body, WriteTimeout the handling and answering.
	ReadTimeout  time.Duration `env:"READ_TIMEOUT" envDefault:"60s"`
	WriteTimeout time.Duration `env:"WRITE_TIMEOUT" envDefault:"120s"`
	// DrainTimeout is how long requests in flight may take to finish after the order to stop.
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT" envDefault:"20s"`
}

// Validate returns every mistake of the settings that parsing cannot see.
func (c *Config) Validate() error {
	var mistakes []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		mistakes = append(mistakes, fmt.Errorf("%sLISTEN: want host:port, found %q", Prefix, c.Listen))
	}
	for _, timeout := range []struct {
		name  string
		value time.Duration
	}{{"READ_TIMEOUT", c.ReadTimeout}, {"WRITE_TIMEOUT", c.WriteTimeout}, {"DRAIN_TIMEOUT", c.DrainTimeout}} {
		if timeout.value <= 0 {
			mistakes = append(mistakes, fmt.Errorf("%s%s: want more than 0s, found %s", Prefix, timeout.name, timeout.value))
		}
	}
	return errors.Join(mistakes...)
}

// LogFormat is how log lines are written: "json" or "text".
type LogFormat string

// UnmarshalText reads a log format.
func (f *LogFormat) UnmarshalText(text []byte) error {
	if s := string(text); s != "json" && s != "text" {
		return fmt.Errorf("want json or text, found %q", s)
	}
	*f = LogFormat(text)
	return nil
}

// Load fills config, a pointer to a struct with `env` tags as github.com/caarlos0/env reads them, from the
// settings that getenv knows. A field without envDefault keeps the value it has. If config has a method
// Validate() error it is called too. The error lists every mistake, each on a line that begins with the
// name of its setting.
func Load(getenv func(string) string, config any) error {
	options := env.Options{Prefix: Prefix, Environment: map[string]string{}}
	fields, err := env.GetFieldParamsWithOptions(config, options)
	if err != nil {
		return fmt.Errorf("read the settings' declaration: %w", err)
	}
	for _, field := range fields {
		if value := getenv(field.Key); value != "" {
			options.Environment[field.Key] = value
		}
	}
	var mistakes []error
	if err := env.ParseWithOptions(config, options); err != nil {
		names := settingNames(reflect.TypeOf(config).Elem(), Prefix)
		var all env.AggregateError
		if !errors.As(err, &all) {
			return fmt.Errorf("read the settings: %w", err)
		}
		for _, e := range all.Errors {
			var parse env.ParseError
			var missing env.VarIsNotSetError
			switch {
			case errors.As(e, &parse):
				mistakes = append(mistakes, fmt.Errorf("%s: %w", names[parse.Name], parse.Err))
			case errors.As(e, &missing):
				mistakes = append(mistakes, fmt.Errorf("%s: is required but not set", missing.Key))
			default:
				mistakes = append(mistakes, e)
			}
		}
	}
	if v, ok := config.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	return errors.Join(mistakes...)
}

// settingNames maps the names of the fields of struct type t to the names of their settings: the parser's
// errors carry the former, people know the latter.
func settingNames(t reflect.Type, prefix string) map[string]string {
	names := map[string]string{}
	for i := range t.NumField() {
		field := t.Field(i)
		if tag, _, _ := strings.Cut(field.Tag.Get("env"), ","); tag != "" {
			names[field.Name] = prefix + tag
		} else if field.Type.Kind() == reflect.Struct {
			for name, setting := range settingNames(field.Type, prefix+field.Tag.Get("envPrefix")) {
				names[name] = setting
			}
		}
	}
	return names
}
