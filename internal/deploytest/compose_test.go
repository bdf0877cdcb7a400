package deploytest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

func loadCompose(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func mustLoadCompose(t *testing.T) *types.Project {
	t.Helper()
	project, err := loadCompose(t, "CONSILIUM_POSTGRES_PASSWORD=a", "CONSILIUM_REDIS_PASSWORD=b")
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// ours are the five services that the repository builds.
var ours = []string{"gateway", "text-encoder", "vision-encoder", "audio-encoder", "fusion"}

func TestComposeStartsThePlatform(t *testing.T) {
	project := mustLoadCompose(t)
	want := append([]string{"postgres", "redis"}, ours...)
	slices.Sort(want)
	if found := project.ServiceNames(); !slices.Equal(found, want) {
		t.Errorf("services %v, want %v", found, want)
	}
	for name, service := range project.Services {
		if service.HealthCheck == nil || len(service.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		if _, open := service.Networks["frontend"]; open != (name == "gateway") {
			t.Errorf("%s reaches the outside: %v", name, open)
		}
		if len(service.Ports) > 0 && name != "gateway" {
			t.Errorf("%s publishes a port", name)
		}
		if !slices.Contains(ours, name) && !strings.Contains(service.Image, ":") {
			t.Errorf("%s: the image %s is not pinned", name, service.Image)
		}
	}
	for name := range project.Services["gateway"].DependsOn {
		if project.Services["gateway"].DependsOn[name].Condition != types.ServiceConditionHealthy {
			t.Errorf("the gateway does not wait until %s is healthy", name)
		}
	}
	if n := len(project.Services["gateway"].DependsOn); n != len(want)-1 {
		t.Errorf("the gateway waits for %d services, want %d", n, len(want)-1)
	}
	if port := project.Services["gateway"].Ports[0]; port.HostIP != "127.0.0.1" {
		t.Errorf("by default the gateway is published on %q", port.HostIP)
	}
}

func TestOurContainersAreHardened(t *testing.T) {
	project := mustLoadCompose(t)
	for _, name := range ours {
		service := project.Services[name]
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || service.User == "root" ||
			!slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s is not hardened", name)
		}
	}
	for _, volume := range []struct{ service, target string }{{"gateway", "/var/lib/consilium"}, {"postgres", "/var/lib/postgresql"}} {
		if !slices.ContainsFunc(project.Services[volume.service].Volumes, func(v types.ServiceVolumeConfig) bool {
			return v.Type == types.VolumeTypeVolume && v.Target == volume.target
		}) {
			t.Errorf("%s loses %s with its container", volume.service, volume.target)
		}
	}
}

func TestPasswordsHaveNoDefault(t *testing.T) {
	for _, test := range []struct{ given, missing string }{
		{"CONSILIUM_REDIS_PASSWORD=b", "CONSILIUM_POSTGRES_PASSWORD"},
		{"CONSILIUM_POSTGRES_PASSWORD=a", "CONSILIUM_REDIS_PASSWORD"},
	} {
		if _, err := loadCompose(t, test.given); err == nil || !strings.Contains(err.Error(), test.missing) {
			t.Errorf("without %s: %v", test.missing, err)
		}
	}
}

// settings finds what the code reads, as a tag of a configuration or by name.
func settings(t *testing.T) map[string]bool {
	t.Helper()
	tag := regexp.MustCompile(`env:"([A-Z0-9_]+)[",]|"CONSILIUM_([A-Z0-9_]+)"`)
	known := map[string]bool{}
	for _, dir := range []string{"cmd", "gateway", "internal", "services"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			content, err := os.ReadFile(path)
			for _, match := range tag.FindAllStringSubmatch(string(content), -1) {
				known["CONSILIUM_"+match[1]+match[2]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return known
}

func TestEverySettingInComposeExists(t *testing.T) {
	known := settings(t)
	for name, service := range mustLoadCompose(t).Services {
		for setting := range service.Environment {
			if strings.HasPrefix(setting, "CONSILIUM_") && !known[setting] {
				t.Errorf("%s: no code reads %s", name, setting)
			}
		}
	}
}

// A stage of the Dockerfile.
var stage = regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`)

func TestDockerfileFitsCompose(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	dockerfile := string(content)
	stages := map[string]string{} // by name, what each is built from
	for _, match := range stage.FindAllStringSubmatch(dockerfile, -1) {
		base := match[1]
		_, own := stages[base]
		if !own && base != "scratch" && !strings.Contains(base, "${DEVICE}") && !regexp.MustCompile(`:[0-9]+\.[0-9]+`).MatchString(base) {
			t.Errorf("the base image %s is not pinned", base)
		}
		stages[match[2]] = base
	}
	project := mustLoadCompose(t)
	for _, name := range ours {
		service := project.Services[name]
		if _, ok := stages[service.Build.Target]; !ok {
			t.Errorf("%s is built from the stage %q, which the Dockerfile does not have", name, service.Build.Target)
		}
		if _, err := os.Stat(filepath.Join(root, "cmd", name, "main.go")); err != nil {
			t.Errorf("%s has no program: %v", name, err)
		}
		if !strings.Contains(dockerfile, "./cmd/"+name) {
			t.Errorf("the Dockerfile does not build ./cmd/%s", name)
		}
	}
	if stages["gateway"] != "scratch" {
		t.Errorf("the gateway's image stands on %s", stages["gateway"])
	}
	if strings.Count(dockerfile, "\nUSER 65532:65532\n") != 2 {
		t.Error("an image runs as root")
	}
	version, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(version)[1]
	if !strings.Contains(dockerfile, "golang:"+string(wanted)+".") {
		t.Errorf("the Dockerfile does not build with Go %s", wanted)
	}
}
