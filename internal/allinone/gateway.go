package allinone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"time"

	"consilium/gateway"
)

// startGateway starts the gateway over the parts that are up and returns when it says that it is ready.
func (s *Stack) startGateway(ctx context.Context, postgresURL, redisURL string) error {
	defer s.step("gateway")()
	own := map[string]string{
		"CONSILIUM_LISTEN":       s.settings.Listen,
		"CONSILIUM_POSTGRES_URL": postgresURL,
		"CONSILIUM_REDIS_URL":    redisURL,
		"CONSILIUM_BLOB_DIR":     filepath.Join(s.settings.State, "blobs"),
	}
	for _, m := range models {
		own[m.setting] = s.models[m.name].url
	}
	s.own = own
	running, err := s.launchGateway(ctx, own)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.gateway, s.URL = running, running.url
	s.mu.Unlock()
	s.watch("gateway", running.done)
	return awaitReady(ctx, running)
}

func (s *Stack) launchGateway(ctx context.Context, own map[string]string) (*part, error) {
	return launch(ctx, "gateway", func(ctx context.Context, stdout *addressLine) error {
		return gateway.Run(ctx, nil, s.with(own), stdout, s.log)
	})
}

// AddGateway starts another gateway over the same parts, on a free port and with settings of its own. The caller stops it before the
// platform.
func (s *Stack) AddGateway(ctx context.Context, settings map[string]string) (url string, stop func() error, err error) {
	own := maps.Clone(s.own)
	own["CONSILIUM_LISTEN"] = anyPort
	maps.Copy(own, settings)
	running, err := s.launchGateway(ctx, own)
	if err != nil {
		return "", nil, err
	}
	if err := awaitReady(ctx, running); err != nil {
		return "", nil, errors.Join(err, running.Stop())
	}
	return running.url, running.Stop, nil
}

// awaitReady asks until every part that an analysis needs is ready.
func awaitReady(ctx context.Context, gateway *part) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		said, err := ready(ctx, gateway.url)
		if err == nil && said == "" {
			return nil
		}
		select {
		case <-gateway.done:
			return fmt.Errorf("wait for the platform: the gateway ended: %w", gateway.err)
		case <-ctx.Done():
			return fmt.Errorf("wait for the platform: %w; it last said %q (%w)", ctx.Err(), said, err)
		case <-ticker.C:
		}
	}
}

// ready asks once. It returns "" or what the platform says that it lacks.
func ready(ctx context.Context, url string) (said string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil || response.StatusCode == http.StatusOK {
		return "", err
	}
	return string(body), nil
}
