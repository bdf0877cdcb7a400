package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"consilium/internal/analysis"
	"consilium/internal/cache"
	"consilium/internal/knowledge/neo4j"
	"consilium/internal/serve"
)

// Config is what a gateway can be told.
type Config struct {
	serve.Config
	PostgresURL string `env:"POSTGRES_URL,required"`
	// RedisURL is the cache; without it everything works, slower.
	RedisURL string `env:"REDIS_URL"`
	// BlobDir is the folder of the uploaded bytes. Gateways of one database share it.
	BlobDir          string `env:"BLOB_DIR,required"`
	TextEncoderURL   string `env:"TEXT_ENCODER_URL,required"`
	VisionEncoderURL string `env:"VISION_ENCODER_URL,required"`
	AudioEncoderURL  string `env:"AUDIO_ENCODER_URL,required"`
	FusionURL        string `env:"FUSION_URL,required"`
	// RequestTimeout bounds one request from its header to its answer.
	RequestTimeout time.Duration `env:"REQUEST_TIMEOUT" envDefault:"60s"`
	// Workers is how many items of jobs this process works on at once; 0 leaves them to others.
	Workers int `env:"WORKERS" envDefault:"4"`
	// JobItemTimeout bounds the work on one item of a job. Another worker takes an item over when the one that had it died
	// and this is past.
	JobItemTimeout time.Duration `env:"JOB_ITEM_TIMEOUT" envDefault:"60s"`
	// ReviewBelow is the confidence below which an answer needs review if the request says nothing else.
	ReviewBelow float64 `env:"REVIEW_BELOW" envDefault:"0.7"`
	// FindingBands are the probabilities above which a finding is in the band high, and in that for follow-up.
	FindingBands analysis.Bands `env:"FINDING_BANDS" envDefault:"0.95,0.7"`
	// DICOMDeidentify says whether what identifies a patient is taken out of DICOM before it is stored.
	DICOMDeidentify Switch `env:"DICOM_DEIDENTIFY" envDefault:"on"`
	// APIKeys says whether a request needs a key, which names its tenant; else everything is of one tenant.
	APIKeys Switch `env:"API_KEYS" envDefault:"off"`
	// KnowledgeDir is a folder with the static layer of the knowledge graph; without it, what is stored stays, or else the
	// findings of radiographs alone are loaded.
	KnowledgeDir string `env:"KNOWLEDGE_DIR"`
	// Neo4jURL is where the static layer is stored in place of PostgreSQL.
	Neo4jURL string `env:"NEO4J_URL"`
}

// Switch is a setting that is on or off.
type Switch bool

// UnmarshalText reads a switch.
func (s *Switch) UnmarshalText(text []byte) error {
	word := string(text)
	if word != "on" && word != "off" {
		return fmt.Errorf("want on or off, found %q", word)
	}
	*s = word == "on"
	return nil
}

// maxWorkers bounds the workers of one process, each of which holds the content of a study.
const maxWorkers = 256

// defaultListen is where a gateway listens if no setting says otherwise.
const defaultListen = "127.0.0.1:8080"

// LoadConfig reads the settings. The error lists every mistake, each by the name of its setting.
func LoadConfig(getenv func(string) string) (Config, error) {
	c := Config{Config: serve.Config{Listen: defaultListen}}
	return c, serve.Load(getenv, &c)
}

// Validate returns every mistake of the settings that parsing cannot see. It repeats no address: those of the
// databases hold passwords.
func (c *Config) Validate() error {
	mistakes := []error{c.Config.Validate()}
	wrong := func(name, want string) {
		mistakes = append(mistakes, fmt.Errorf("%s%s: want %s", serve.Prefix, name, want))
	}
	if u, err := url.Parse(c.PostgresURL); c.PostgresURL != "" && (err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql") {
		wrong("POSTGRES_URL", "postgres://user:password@host:port/database")
	}
	if c.RedisURL != "" {
		if client, err := cache.Connect(c.RedisURL); err != nil {
			wrong("REDIS_URL", "redis://host:port, rediss://host:port or unix:///path")
		} else {
			mistakes = append(mistakes, client.Close())
		}
	}
	if c.Neo4jURL != "" {
		if static, err := neo4j.Open(c.Neo4jURL); err != nil {
			wrong("NEO4J_URL", "bolt://user:password@host:port")
		} else {
			mistakes = append(mistakes, static.Close())
		}
	}
	for _, service := range []struct{ name, url string }{
		{"TEXT_ENCODER_URL", c.TextEncoderURL}, {"VISION_ENCODER_URL", c.VisionEncoderURL}, {"AUDIO_ENCODER_URL", c.AudioEncoderURL}, {"FUSION_URL", c.FusionURL},
	} {
		if u, err := url.Parse(service.url); service.url != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			wrong(service.name, "http://host:port")
		}
	}
	if c.RequestTimeout <= 0 || c.RequestTimeout >= c.WriteTimeout { // else the connection closes before the problem is written
		wrong("REQUEST_TIMEOUT", fmt.Sprintf("more than 0s and less than %sWRITE_TIMEOUT (%s)", serve.Prefix, c.WriteTimeout))
	}
	if c.Workers < 0 || c.Workers > maxWorkers {
		wrong("WORKERS", fmt.Sprintf("0 to %d, found %d", maxWorkers, c.Workers))
	}
	if c.JobItemTimeout < time.Second {
		wrong("JOB_ITEM_TIMEOUT", fmt.Sprintf("at least 1s, found %s", c.JobItemTimeout))
	}
	if !(c.ReviewBelow >= 0 && c.ReviewBelow <= 1) { // NaN is neither
		wrong("REVIEW_BELOW", fmt.Sprintf("0 to 1, found %v", c.ReviewBelow))
	}
	return errors.Join(mistakes...)
}
