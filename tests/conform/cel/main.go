// Makes random expressions and values, evaluates them by cel-go and writes the cases as expr_conform.c reads them.
//
// Where rfmd is meant to differ from cel-go 0.20.1, the same thing is asked of cel-go in another way, or not at all:
//
//   - int == double, int in list(double): cel-go's checker refuses what its interpreter can do; rfmd takes it, as the
//     ordering operators do in both. Asked as dyn(a) == b.
//   - an int beyond 2^53 beside a double: CEL compares numbers exactly; cel-go rounds the int first. Such cases are left
//     out (counted on standard error), and have a table of their own in tests/unit/expr/eval_test.c.
//   - string(double): CEL does not say how; cel-go writes 1e+06, rfmd decimal digits below 1e21. Asked as text(x), by Go's
//     strconv.
//   - a timestamp in cel-go keeps the offset with which it was written, for string() and for getHours() and the like without
//     a zone; CEL has UTC there. Asked as text(x), and as getHours("UTC").
//   - the items of a list that is [] have no type: rfmd refuses to take one, cel-go to find one.
//   - duration("2d"): days are rfmd's. Asked in hours.
//   - timestamps and durations are whole milliseconds in rfmd, and reach over 10,000 years, as CEL's protobuf types do;
//     cel-go's durations end at 292 years. The values stay below that.
//   - -(-x), !(!x): cel-go takes an even number of signs away without looking at the operand. Written with parentheses.
//   - a text in a conversion that is wrong as it is written: rfmd refuses it at load, cel-go fails when it gets there.
//   - null: cel-go takes it for a timestamp or duration, since both are messages. rfmd does not.
//   - not in rfmd: uint, bytes, dyn, type, maps as literals, matches, map, filter, exists_one, exists on maps,
//     duration(int), int(duration), == of maps and structs.
//   - the zones "" and "Local", which are Go's.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// -- the environment: the same fields as in expr_conform.c

type field struct {
	path     string
	celType  *cel.Type
	optional bool
}

var fields = []field{
	{"now", cel.TimestampType, false},
	{"client.orders", cel.IntType, false},
	{"client.points", cel.IntType, true},
	{"client.revenue", cel.DoubleType, false},
	{"client.risk", cel.DoubleType, true},
	{"client.vip", cel.BoolType, false},
	{"client.active", cel.BoolType, true},
	{"client.name", cel.StringType, false},
	{"client.city", cel.StringType, true},
	{"client.zone", cel.StringType, false},
	{"client.last", cel.TimestampType, false},
	{"client.first", cel.TimestampType, true},
	{"client.gap", cel.DurationType, false},
	{"client.wait", cel.DurationType, true},
	{"client.tags", cel.ListType(cel.StringType), false},
	{"client.visits", cel.ListType(cel.IntType), false},
	{"client.scores", cel.ListType(cel.DoubleType), true},
	{"client.counts", cel.MapType(cel.StringType, cel.IntType), false},
	{"client.messages", cel.MapType(cel.StringType, cel.ObjectType("statuses")), false},
	{"client.rfm.r", cel.IntType, true},
	{"client.rfm.f", cel.IntType, true},
	{"event.kind", cel.StringType, true},
	{"event.amount", cel.DoubleType, true},
}

// A struct as cel-go sees it: its fields by name, those that are not there left out.
type object struct {
	name   string
	values map[string]any
}

func (o *object) ConvertToNative(reflect.Type) (any, error) { return nil, fmt.Errorf("an object") }
func (o *object) ConvertToType(ref.Type) ref.Val            { return types.NewErr("an object") }
func (o *object) Equal(ref.Val) ref.Val                     { return types.NewErr("an object") }
func (o *object) Type() ref.Type                            { return cel.ObjectType(o.name) }
func (o *object) Value() any                                { return o }

type provider struct{ *types.Registry }

// The types of the members of each struct.
var structs = map[string]map[string]*cel.Type{
	"statuses": {"sent": cel.IntType, "opened": cel.IntType},
	"rfm":      {"r": cel.IntType, "f": cel.IntType},
	"client":   {"rfm": cel.ObjectType("rfm")},
	"event":    {},
}

func (p provider) FindStructType(name string) (*cel.Type, bool) {
	if _, found := structs[name]; found {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return p.Registry.FindStructType(name)
}

func (p provider) FindStructFieldType(name, member string) (*types.FieldType, bool) {
	celType, found := structs[name][member]
	if !found {
		return nil, false
	}
	isSet := func(target any) bool {
		value, there := target.(*object).values[member]
		if group, is := value.(*object); is {
			return len(group.values) > 0
		}
		return there
	}
	getFrom := func(target any) (any, error) {
		value, there := target.(*object).values[member]
		if !there {
			return nil, fmt.Errorf("no such key: %s", member)
		}
		return value, nil
	}
	return &types.FieldType{Type: celType, IsSet: isSet, GetFrom: getFrom}, true
}

func (p provider) NativeToValue(value any) ref.Val {
	if o, is := value.(*object); is {
		return o
	}
	return p.Registry.NativeToValue(value)
}

func textOfDouble(value float64) string {
	switch {
	case math.IsNaN(value):
		return "NaN"
	case math.IsInf(value, 1):
		return "+Inf"
	case math.IsInf(value, -1):
		return "-Inf"
	}
	form := byte('e')
	if size := math.Abs(value); size == 0 || (size >= 1e-4 && size < 1e21) {
		form = 'f'
	}
	return strconv.FormatFloat(value, form, -1, 64)
}

func newEnv() *cel.Env {
	for _, f := range fields {
		if parts := strings.Split(f.path, "."); len(parts) == 2 {
			structs[parts[0]][parts[1]] = f.celType
		}
	}
	registry, err := types.NewRegistry()
	must(err)
	p := provider{registry}
	env, err := cel.NewEnv(
		cel.CustomTypeProvider(p), cel.CustomTypeAdapter(p),
		cel.CrossTypeNumericComparisons(true), cel.HomogeneousAggregateLiterals(),
		cel.Variable("now", cel.TimestampType), cel.Variable("client", cel.ObjectType("client")),
		cel.Variable("event", cel.ObjectType("event")),
		cel.Function("text", cel.Overload("text_double", []*cel.Type{cel.DoubleType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(textOfDouble(float64(v.(types.Double)))) })),
			cel.Overload("text_time", []*cel.Type{cel.TimestampType}, cel.StringType, cel.UnaryBinding(func(v ref.Val) ref.Val {
				return types.String(v.(types.Timestamp).Time.UTC().Format(time.RFC3339Nano))
			}))))
	must(err)
	return env
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// -- values of the fields

var random *rand.Rand

func oneOf[T any](items ...T) T { return items[random.Intn(len(items))] }

func randomInt() int64 {
	return oneOf(0, 1, 2, 3, 7, -1, -5, 100, int64(random.Intn(20)), 1<<53, 1<<53+1, -(1<<53)-1, 1<<62, math.MaxInt64,
		math.MinInt64, int64(random.Intn(2000)-1000))
}

func randomDouble() float64 {
	return oneOf(0, 1, 2, 7, -1, 0.5, 100, -0.25, 1e-7, 1e6, 123456.789, 1<<53, 1<<63, -(1 << 63), 1e300, 5e-324,
		math.Copysign(0, -1), random.NormFloat64()*100, math.Inf(1), math.NaN())
}

func randomText() string {
	return oneOf("", "a", "b", "ab", "abc", "Zürich", "日本", "🎉", "12", "-3", "1.5", "true", "1h", "90m", "x'y", `q"r`,
		`back\slash`, "line\nbreak", "tab\t", "2024-02-29T12:00:00Z", "2026-07-01T00:30:00+02:00", "inf", "1e3", "email",
		"sms", "%", " ")
}

const msPerDay = 86400000

func randomTime() time.Time {
	ms := oneOf(int64(0), 1709208000000, 1761440400000, 1774746000000, random.Int63n(130*365*msPerDay)-30*365*msPerDay,
		1767225599999)
	return time.UnixMilli(ms).UTC()
}

func randomDuration() time.Duration {
	ms := oneOf(int64(0), 1, -1, 999, 1500, -90000, 3600000, msPerDay, -36*3600000, random.Int63n(200*msPerDay)-100*msPerDay)
	return time.Duration(ms) * time.Millisecond
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "+02:00", "-08:30"}

func several[T any](make func() T) []T {
	items := []T{}
	for n := random.Intn(4); n > 0; n-- {
		items = append(items, make())
	}
	return items
}

var keys = []string{"a", "b", "email", "sms", "in_app"}

func randomValue(f field) any {
	switch f.path {
	case "client.zone":
		return oneOf(append([]string{"Nowhere/None"}, zones...)...)
	case "client.counts":
		counts := map[string]int64{}
		for n := random.Intn(4); n > 0; n-- {
			counts[oneOf(keys...)] = randomInt()
		}
		return counts
	case "client.messages":
		messages := map[string]any{}
		for n := random.Intn(4); n > 0; n-- {
			statuses := &object{"statuses", map[string]any{}}
			for _, member := range []string{"sent", "opened"} {
				if random.Intn(3) > 0 {
					statuses.values[member] = int64(random.Intn(20))
				}
			}
			messages[oneOf(keys...)] = statuses
		}
		return messages
	}
	switch f.celType.Kind() {
	case types.IntKind:
		return randomInt()
	case types.DoubleKind:
		return randomDouble()
	case types.BoolKind:
		return random.Intn(2) == 0
	case types.StringKind:
		return randomText()
	case types.TimestampKind:
		return randomTime()
	case types.DurationKind:
		return randomDuration()
	}
	switch f.celType.Parameters()[0].Kind() {
	case types.IntKind:
		return several(randomInt)
	case types.DoubleKind:
		return several(randomDouble)
	}
	return several(randomText)
}

// The values as cel-go wants them, and as a case has them.
func randomValues() (map[string]any, []string) {
	client := &object{"client", map[string]any{"rfm": &object{"rfm", map[string]any{}}}}
	roots := map[string]any{"client": client, "event": &object{"event", map[string]any{}}}
	var texts []string
	for _, f := range fields {
		if f.optional && random.Intn(3) == 0 {
			continue
		}
		value := randomValue(f)
		texts = append(texts, writeField(f.path, value)...)
		parts := strings.Split(f.path, ".")
		switch len(parts) {
		case 1:
			roots[parts[0]] = value
		case 2:
			roots[parts[0]].(*object).values[parts[1]] = value
		default:
			client.values[parts[1]].(*object).values[parts[2]] = value
		}
	}
	return roots, texts
}

func coded(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		if b > 0x20 && b < 0x7f && !strings.ContainsRune("%,[]", rune(b)) {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}

func bits(value float64) string { return fmt.Sprintf("%016x", math.Float64bits(value)) }

func writeField(path string, value any) []string {
	text := ""
	switch v := value.(type) {
	case map[string]int64:
		var out []string
		for key, count := range v {
			out = append(out, fmt.Sprintf("%s/%s=%d", path, key, count))
		}
		return out
	case map[string]any:
		var out []string
		for key, statuses := range v {
			out = append(out, fmt.Sprintf("%s/%s=", path, key))
			for member, count := range statuses.(*object).values {
				out = append(out, fmt.Sprintf("%s/%s/%s=%d", path, key, member, count))
			}
		}
		return out
	case float64:
		text = bits(v)
	case string:
		text = coded(v)
	case time.Time:
		text = fmt.Sprint(v.UnixMilli())
	case time.Duration:
		text = fmt.Sprint(v.Milliseconds())
	case []int64:
		text = strings.ReplaceAll(fmt.Sprint(v), " ", ",")
	case []float64:
		var items []string
		for _, item := range v {
			items = append(items, bits(item))
		}
		text = "[" + strings.Join(items, ",") + "]"
	case []string:
		// an item more at the end tells an empty list from a list of one empty text
		var items strings.Builder
		for _, item := range v {
			items.WriteString(coded(item) + ",")
		}
		text = "[" + items.String() + "]"
	default:
		text = fmt.Sprint(v)
	}
	return []string{path + "=" + text}
}

func writeResult(value ref.Val) string {
	switch v := value.(type) {
	case types.Bool:
		return fmt.Sprintf("bool:%v", bool(v))
	case types.Int:
		return fmt.Sprintf("int:%d", int64(v))
	case types.Double:
		if math.IsNaN(float64(v)) {
			return "double:nan"
		}
		return "double:" + bits(float64(v))
	case types.String:
		return "string:" + coded(string(v))
	case types.Timestamp:
		return fmt.Sprintf("timestamp:%d", v.Time.UnixMilli())
	case types.Duration:
		return fmt.Sprintf("duration:%d", v.Duration.Milliseconds())
	case types.Null:
		return "null:"
	case traits.Lister:
		var items []string
		for it := v.Iterator(); it.HasNext() == types.True; {
			items = append(items, writeResult(it.Next()))
		}
		return "list:[" + strings.Join(items, ",") + "]"
	}
	panic(fmt.Sprintf("a result of type %T", value))
}

// -- cases

// An int and a double that cel-go compares by rounding the int.
func rounds(integer int64, double float64) bool {
	if math.IsNaN(double) || math.IsInf(double, 0) {
		return false
	}
	exact := new(big.Float).SetInt64(integer).Cmp(new(big.Float).SetFloat64(double))
	rounded := 0
	if r := float64(integer); r < double {
		rounded = -1
	} else if r > double {
		rounded = 1
	}
	return exact != rounded
}

func evaluate(env *cel.Env, text string, values map[string]any) (ref.Val, string) {
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, "refused"
	}
	program, err := env.Program(ast)
	if err != nil {
		return nil, "refused"
	}
	result, _, err := program.Eval(values)
	if err != nil {
		return nil, "failed"
	}
	return result, ""
}

func departs(env *cel.Env, tree *node, values map[string]any) bool {
	for _, mixed := range tree.mixed() {
		left, _ := evaluate(env, mixed.kids[0].reference(), values)
		right, _ := evaluate(env, mixed.kids[1].reference(), values)
		if i, is := left.(types.Int); is {
			if d, is := right.(types.Double); is && rounds(int64(i), float64(d)) {
				return true
			}
		}
		if i, is := right.(types.Int); is {
			if d, is := left.(types.Double); is && rounds(int64(i), float64(d)) {
				return true
			}
		}
	}
	return false
}

func main() {
	cases := flag.Int("cases", 100000, "how many")
	seed := flag.Int64("seed", 1, "of the random numbers")
	flag.Parse()
	random = rand.New(rand.NewSource(*seed))
	env := newEnv()
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	left := 0
	for n := 0; n < *cases; {
		tree := generate(oneOf(Bool, Bool, Bool, Int, Double, Text, Time, Span, ListOf+Int), 1+random.Intn(5))
		if random.Intn(5) == 0 {
			tree = spoil(tree)
		}
		values, texts := randomValues()
		result, state := evaluate(env, tree.reference(), values)
		if tree.leftOut() || departs(env, tree, values) {
			left++
			continue
		}
		if state == "" {
			state = writeResult(result)
		}
		fmt.Fprintf(out, "%s\t%s", strings.ReplaceAll(codedExpression(tree.ours()), "\t", "%09"), state)
		for _, text := range texts {
			if isRead(tree.ours(), text) {
				fmt.Fprintf(out, "\t%s", text)
			}
		}
		fmt.Fprintln(out)
		n++
	}
	fmt.Fprintf(os.Stderr, "%d cases, %d left out\n", *cases, left)
}

// Whether the expression names the field of a value, or the group that it is in.
func isRead(expression, value string) bool {
	parts := strings.Split(value[:strings.IndexAny(value, "=/")], ".")
	if len(parts) > 2 {
		parts = parts[:2]
	}
	return strings.Contains(expression, strings.Join(parts, "."))
}

func codedExpression(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		if b >= 0x20 && b < 0x7f && b != '%' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}
