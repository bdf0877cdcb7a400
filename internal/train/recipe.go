package train

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

//go:embed recipes/*.recipe
var recipeFiles embed.FS

const recipeSuffix = ".recipe"

// A Recipe says what to train and how: lines "key = value", of which "task" names what; the keys that it leaves out
// have the values of the recipe of the same name as its task.
type Recipe struct {
	Name   string
	values map[string]string
}

// RecipeNames lists the recipes that come with the program.
func RecipeNames() []string {
	files, err := fs.Glob(recipeFiles, "recipes/*"+recipeSuffix)
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), recipeSuffix)
	}
	return files
}

// ReadRecipe reads a recipe by its name or from a file whose name ends in .recipe, and applies overrides "key=value".
func ReadRecipe(name string, overrides []string) (*Recipe, error) {
	r := &Recipe{Name: strings.TrimSuffix(path.Base(name), recipeSuffix)}
	var err error
	if strings.HasSuffix(name, recipeSuffix) {
		var b []byte
		if b, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("read recipe: %w", err)
		}
		if r.values, err = parseRecipe(b); err == nil {
			var base *Recipe
			if base, err = ReadRecipe(r.values["task"], nil); err == nil {
				maps.Copy(base.values, r.values)
				r.values = base.values
			}
		}
	} else {
		var b []byte
		if b, err = recipeFiles.ReadFile("recipes/" + name + recipeSuffix); err != nil {
			return nil, fmt.Errorf("no recipe %q; there are %s, or name a file that ends in %s", name, strings.Join(RecipeNames(), ", "), recipeSuffix)
		}
		r.values, err = parseRecipe(b)
	}
	if err != nil {
		return nil, fmt.Errorf("recipe %s: %w", name, err)
	}
	for _, o := range overrides {
		key, value, ok := strings.Cut(o, "=")
		if !ok {
			return nil, fmt.Errorf("recipe %s: override %q, want key=value", name, o)
		}
		r.values[strings.TrimSpace(key)] = strings.TrimSpace(value)
	}
	return r, nil
}

func parseRecipe(b []byte) (map[string]string, error) {
	values := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if _, twice := values[key]; !ok || twice {
			return nil, fmt.Errorf("line %d: %q, want key = value, each key once", n, line)
		}
		values[key] = value
	}
	return values, lines.Err()
}

// Decode fills structs from the recipe: a field tagged `recipe:"key"` from that key. Every key of the structs is in
// the recipe and every key of the recipe in the structs, or Decode says which is not.
func (r *Recipe) Decode(into ...any) error {
	known := []string{"task"}
	for _, dst := range into {
		v := reflect.ValueOf(dst).Elem()
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("recipe")
			if key == "" {
				continue
			}
			known = append(known, key)
			text, ok := r.values[key]
			if !ok {
				return fmt.Errorf("recipe %s: %s is not set", r.Name, key)
			}
			if err := decodeValue(v.Field(i), text); err != nil {
				return fmt.Errorf("recipe %s: %s = %q: want %w", r.Name, key, text, err)
			}
		}
	}
	slices.Sort(known)
	for _, key := range slices.Sorted(maps.Keys(r.values)) {
		if !slices.Contains(known, key) {
			return fmt.Errorf("recipe %s: unknown key %q; known are %s", r.Name, key, strings.Join(known, ", "))
		}
	}
	return nil
}

func decodeValue(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("a whole number from 0")
		}
		v.SetInt(n)
	case reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("a whole number from 0")
		}
		v.SetUint(n)
	case reflect.Float64:
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || !(x >= 0 && x < 1e300) {
			return fmt.Errorf("a number from 0")
		}
		v.SetFloat(x)
	case reflect.Bool:
		on, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("true or false")
		}
		v.SetBool(on)
	default:
		panic("train: a recipe cannot set a " + v.Kind().String())
	}
	return nil
}

// Train runs a recipe.
func Train(ctx context.Context, r *Recipe, env Env) error {
	run, ok := tasks[r.values["task"]]
	if !ok {
		return fmt.Errorf("recipe %s: task = %q: want one of %s", r.Name, r.values["task"], strings.Join(slices.Sorted(maps.Keys(tasks)), ", "))
	}
	return run(ctx, r, env)
}
