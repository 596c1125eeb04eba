package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// What an expression is, as far as the generator cares.
type kind int

const (
	Bool kind = iota
	Int
	Double
	Text
	Time
	Span
	Null
	ListOf // and the kind of the items
)

func isNumber(k kind) bool { return k == Int || k == Double }

// How tightly an expression binds, as the grammar has it.
const (
	ifLevel = iota
	orLevel
	andLevel
	relationLevel
	sumLevel
	productLevel
	unaryLevel
	memberLevel
)

// A form with one %s for each operand, and the level that each of them needs.
type node struct {
	kind   kind
	level  int
	form   string
	needs  []int
	kids   []*node
	theirs string // the form for cel-go where it differs
	name   string // of a function or an operator
}

func leaf(k kind, level int, text string) *node {
	return &node{kind: k, level: level, form: strings.ReplaceAll(text, "%", "%%")}
}

func (n *node) write(form string, write func(*node) string) string {
	var texts []any
	for i, kid := range n.kids {
		text := write(kid)
		if kid.level < n.needs[i] {
			text = "(" + text + ")"
		}
		texts = append(texts, text)
	}
	return fmt.Sprintf(form, texts...)
}

func (n *node) ours() string { return n.write(n.form, (*node).ours) }

func (n *node) reference() string {
	form := n.form
	if n.theirs != "" {
		form = n.theirs
	}
	if n.actual(0) == Time && len(n.kids) == 1 && isTimePart(n.name) {
		form = "%s." + n.name + `("UTC")`
	}
	if n.isMixed() && (n.name == "==" || n.name == "!=" || n.name == "in") {
		form = strings.Replace(form, "%s", "dyn(%s)", 1)
	}
	if k := n.actual(0); n.name == "string" && (k == Double || k == Time) {
		form = "text(%s)"
	}
	return n.write(form, (*node).reference)
}

// What an operand is.
func (n *node) actual(i int) kind {
	if i >= len(n.kids) {
		return Null
	}
	return n.kids[i].kind
}

// The kinds as the checkers see them, after a part was replaced.
func (n *node) settle() *node {
	for _, kid := range n.kids {
		kid.settle()
	}
	switch n.name {
	case "()", "-1":
		n.kind = n.kids[0].kind
	case "?:":
		n.kind = n.kids[1].kind
		if n.kids[1].isEmpty() {
			n.kind = n.kids[2].kind
		}
	case "[]":
		n.kind = n.kids[0].kind - ListOf
	case "+", "-", "*", "/", "%":
		left, right := n.kids[0].kind, n.kids[1].kind
		switch {
		case left == Time && right == Time:
			n.kind = Span
		case left == Time || right == Time:
			n.kind = Time
		case left >= ListOf && n.kids[0].isEmpty():
			n.kind = right
		default:
			n.kind = left
		}
	case "":
		if len(n.kids) > 0 {
			n.kind = ListOf + n.kids[0].kind
		}
	}
	return n
}

// [] and what is made of nothing else: its items have no type.
func (n *node) isEmpty() bool {
	if n.form == "[]" {
		return true
	}
	for _, kid := range n.kids {
		if kid.kind >= ListOf && !kid.isEmpty() {
			return false
		}
	}
	return n.name == "+" || n.name == "()" || n.name == "?:"
}

// A comparison of an int with a double, or of one with a list of the other.
func (n *node) isMixed() bool {
	switch n.name {
	case "==", "!=", "<", "<=", ">", ">=":
		return isNumber(n.actual(0)) && isNumber(n.actual(1)) && n.actual(0) != n.actual(1)
	case "in":
		item := n.actual(1) - ListOf
		return n.actual(1) >= ListOf && isNumber(n.actual(0)) && isNumber(item) && item != n.actual(0)
	}
	return false
}

// Mixed comparisons whose operands may be evaluated by themselves.
func (n *node) mixed() []*node {
	var found []*node
	if n.isMixed() && n.name != "in" {
		found = append(found, n)
	}
	for _, kid := range n.kids {
		found = append(found, kid.mixed()...)
	}
	return found
}

// What cel-go takes and rfmd does not have, or compares lists item by item.
func (n *node) leftOut() bool {
	if n.name == "duration" && n.actual(0) == Int || n.name == "int" && n.actual(0) == Span {
		return true
	}
	if (n.name == "==" || n.name == "!=") && (n.actual(0) == Null) != (n.actual(1) == Null) {
		return true
	}
	if (n.name == "[]" || n.name == "exists" || n.name == "all") && n.kids[0].isEmpty() {
		return true
	}
	if n.name == "in" && n.isMixed() && n.kids[1].name != "small" {
		return true
	}
	switch n.name {
	case "int", "double", "timestamp", "duration":
		if n.kids[0].isTextLiteral() {
			return true
		}
	}
	for _, kid := range n.kids {
		if kid.leftOut() {
			return true
		}
	}
	return false
}

func (n *node) isTextLiteral() bool {
	for n.name == "()" {
		n = n.kids[0]
	}
	return n.kind == Text && len(n.kids) == 0 && strings.ContainsAny(n.form, `"'`)
}

func apply(k kind, level int, name, form string, needs []int, kids ...*node) *node {
	return &node{kind: k, level: level, name: name, form: form, needs: needs, kids: kids}
}

func binary(k kind, level int, sign string, left, right *node) *node {
	form := "%s " + strings.ReplaceAll(sign, "%", "%%") + " %s"
	if random.Intn(8) == 0 && sign != "in" {
		form = "%s" + strings.ReplaceAll(sign, "%", "%%") + "%s"
	}
	return apply(k, level, sign, form, []int{level, level + 1}, left, right)
}

func call(k kind, name string, kids ...*node) *node {
	needs, holes := []int{}, []string{}
	for range kids {
		needs, holes = append(needs, ifLevel), append(holes, "%s")
	}
	return apply(k, memberLevel, name, name+"("+strings.Join(holes, ", ")+")", needs, kids...)
}

func method(k kind, name string, target *node, kids ...*node) *node {
	needs, holes := []int{memberLevel}, []string{}
	for range kids {
		needs, holes = append(needs, ifLevel), append(holes, "%s")
	}
	return apply(k, memberLevel, name, "%s."+name+"("+strings.Join(holes, ", ")+")", needs, append([]*node{target}, kids...)...)
}

// -- leaves

func literal(k kind) *node {
	switch k {
	case Bool:
		return leaf(Bool, memberLevel, oneOf("true", "false"))
	case Int:
		return intLiteral(randomInt())
	case Double:
		return doubleLiteral()
	case Text:
		return leaf(Text, memberLevel, textLiteral(randomText()))
	case Time:
		return leaf(Time, memberLevel, fmt.Sprintf("timestamp(%q)", timeText(randomTime())))
	case Span:
		return spanLiteral()
	}
	return listLiteral(k)
}

func timeText(t time.Time) string {
	if random.Intn(3) == 0 {
		return t.In(time.FixedZone("", oneOf(3600, 7200, -30600))).Format(time.RFC3339Nano)
	}
	return t.Format(time.RFC3339Nano)
}

func intLiteral(value int64) *node {
	text := strconv.FormatInt(value, 10)
	if random.Intn(10) == 0 {
		text = strings.Replace(fmt.Sprintf("%#x", value), "0X", "0x", 1)
	}
	return leaf(Int, unaryIfSigned(text), text)
}

func unaryIfSigned(text string) int {
	if text[0] == '-' {
		return unaryLevel
	}
	return memberLevel
}

func doubleLiteral() *node {
	value := randomDouble()
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return leaf(Double, productLevel, oneOf("0.0 / 0.0", "1.0 / 0.0", "-1.0 / 0.0"))
	}
	text := strconv.FormatFloat(value, oneOf(byte('g'), 'e', 'g'), -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return leaf(Double, unaryIfSigned(text), text)
}

func textLiteral(text string) string {
	quote := oneOf(`"`, `'`, `"""`, `'''`)
	if random.Intn(4) == 0 && !strings.Contains(text, quote[:1]) && !strings.ContainsAny(text, "\n") {
		return oneOf("r", "R") + quote + text + quote
	}
	var out strings.Builder
	for _, c := range text {
		switch {
		case c == '\\':
			out.WriteString(`\\`)
		case string(c) == quote[:1]:
			out.WriteString(`\` + string(c))
		case c == '\n' && len(quote) == 1:
			out.WriteString(`\n`)
		case random.Intn(6) > 0:
			out.WriteRune(c)
		case c < 0x100 && random.Intn(2) == 0:
			fmt.Fprintf(&out, oneOf(`\x%02x`, `\%03o`, `\X%02X`), c)
		case c < 0x10000:
			fmt.Fprintf(&out, `\u%04x`, c)
		default:
			fmt.Fprintf(&out, `\U%08X`, c)
		}
	}
	return quote + out.String() + quote
}

func spanLiteral() *node {
	days := random.Intn(400) - 200
	if random.Intn(4) == 0 {
		n := leaf(Span, memberLevel, fmt.Sprintf(`duration("%dd")`, days))
		n.theirs = fmt.Sprintf(`duration("%dh")`, 24*days)
		return n
	}
	return leaf(Span, memberLevel, fmt.Sprintf("duration(%q)", oneOf(randomDuration().String(), "1.5h", "-0.25s", "0", "90m", "+2h")))
}

func listLiteral(k kind) *node {
	list := &node{kind: k, level: memberLevel}
	var holes []string
	for n := random.Intn(4); n > 0; n-- {
		list.kids = append(list.kids, literal(k-ListOf))
		list.needs = append(list.needs, ifLevel)
		holes = append(holes, "%s")
	}
	if len(holes) == 0 {
		return leaf(k, memberLevel, "[]")
	}
	list.form = "[" + strings.Join(holes, ", ") + oneOf("", "", ",") + "]"
	return list
}

// A list of numbers that doubles have exactly.
func smallList(k kind) *node {
	n := leaf(k, memberLevel, oneOf("[0, 1, 2]", "[7, -1]", "[100]"))
	if k == ListOf+Double {
		n = leaf(k, memberLevel, oneOf("[0.0, 1.0, 0.5]", "[7.0, -1.0]", "[100.0, 1e300]"))
	}
	n.name = "small"
	return n
}

func path(k kind, names ...string) *node { return leaf(k, memberLevel, oneOf(names...)) }

func variable(k kind) *node {
	switch k {
	case Bool:
		return path(Bool, "client.vip", "client.active")
	case Int:
		return oneOf(path(Int, "client.orders", "client.points", "client.rfm.r", "client.rfm.f"), mapItem())
	case Double:
		return path(Double, "client.revenue", "client.risk", "event.amount")
	case Text:
		return path(Text, "client.name", "client.city", "event.kind", "client.zone")
	case Time:
		return path(Time, "now", "client.last", "client.first")
	case Span:
		return path(Span, "client.gap", "client.wait")
	case ListOf + Text:
		return path(k, "client.tags")
	case ListOf + Int:
		return path(k, "client.visits")
	case ListOf + Double:
		return path(k, "client.scores")
	}
	return literal(k)
}

func mapItem() *node {
	key, member := oneOf(keys...), oneOf("sent", "opened")
	return path(Int, "client.counts."+key, fmt.Sprintf("client.counts[%q]", key), "client.messages."+key+"."+member,
		fmt.Sprintf("client.messages[%q].%s", key, member))
}

func hasTest() *node {
	key := oneOf(keys...)
	return path(Bool, "has(client.points)", "has(client.city)", "has(client.scores)", "has(client.orders)", "has(client.rfm.r)",
		"has(client.rfm)", "has(event.amount)", "has(client.wait)", "has(client.first)", "has(client.active)",
		"has(client.counts."+key+")", "has(client.messages."+key+")", "has(client.messages."+key+".sent)")
}

// -- everything else

func generate(k kind, depth int) *node {
	if depth <= 0 {
		if random.Intn(2) == 0 {
			return literal(k)
		}
		return variable(k)
	}
	if random.Intn(12) == 0 {
		return apply(k, ifLevel, "?:", "%s ? %s : %s", []int{orLevel, orLevel, ifLevel}, generate(Bool, depth-1), generate(k, depth-1),
			generate(k, depth-1))
	}
	if random.Intn(15) == 0 {
		return apply(k, memberLevel, "()", "(%s)", []int{ifLevel}, generate(k, depth-1))
	}
	switch k {
	case Bool:
		return boolean(depth - 1)
	case Int:
		return integer(depth - 1)
	case Double:
		return double(depth - 1)
	case Text:
		return text(depth - 1)
	case Time:
		return moment(depth - 1)
	case Span:
		return span(depth - 1)
	}
	return list(k, depth-1)
}

func boolean(depth int) *node {
	switch random.Intn(12) {
	case 0, 1:
		return binary(Bool, andLevel, "&&", generate(Bool, depth), generate(Bool, depth))
	case 2, 3:
		return binary(Bool, orLevel, "||", generate(Bool, depth), generate(Bool, depth))
	case 4:
		return apply(Bool, unaryLevel, "!", "!%s", []int{memberLevel}, generate(Bool, depth))
	case 5:
		return hasTest()
	case 6:
		return method(Bool, oneOf("startsWith", "endsWith", "contains"), generate(Text, depth), generate(Text, depth))
	case 7:
		return membership(depth)
	case 8:
		return loop(depth)
	case 9:
		return equality(depth)
	}
	return comparison(depth)
}

func comparison(depth int) *node {
	left := oneOf(Bool, Int, Double, Text, Time, Span, Int, Double)
	right := left
	if isNumber(left) {
		right = oneOf(Int, Double)
	}
	sign := oneOf("<", "<=", ">", ">=", "==", "!=")
	return binary(Bool, relationLevel, sign, generate(left, depth), generate(right, depth))
}

func equality(depth int) *node {
	if random.Intn(10) == 0 {
		return binary(Bool, relationLevel, oneOf("==", "!="), leaf(Null, memberLevel, "null"), leaf(Null, memberLevel, "null"))
	}
	k := ListOf + oneOf(Int, Double, Text, ListOf+Int, Bool)
	return binary(Bool, relationLevel, oneOf("==", "!="), generate(k, depth), generate(k, depth))
}

func membership(depth int) *node {
	k := oneOf(Int, Double, Text, Bool, ListOf+Int)
	switch random.Intn(4) {
	case 0:
		return binary(Bool, relationLevel, "in", generate(Text, depth), path(ListOf+Null, "client.counts", "client.messages"))
	case 1:
		return binary(Bool, relationLevel, "in", generate(Int, depth), smallList(ListOf+Double))
	case 2:
		return binary(Bool, relationLevel, "in", generate(Double, depth), smallList(ListOf+Int))
	}
	return binary(Bool, relationLevel, "in", generate(k, depth), generate(ListOf+k, depth))
}

var loops int

// exists and all over a list; in the condition the items stand for some of its leaves.
func loop(depth int) *node {
	k := oneOf(Int, Double, Text)
	list := generate(ListOf+k, depth)
	loops++
	name := fmt.Sprintf("x%d", loops)
	body := generate(Bool, depth-1)
	for tries := 0; tries < 10; tries++ {
		body.replaceLeaf(k, leaf(k, memberLevel, name))
	}
	if len(body.mixed()) > 0 {
		body = binary(Bool, relationLevel, "==", leaf(k, memberLevel, name), generate(k, depth-1))
	}
	loops--
	return method(Bool, oneOf("exists", "all"), list, leaf(k, memberLevel, name), body)
}

func (n *node) replaceLeaf(k kind, by *node) {
	for i, kid := range n.kids {
		if len(kid.kids) == 0 && kid.kind == k && kid.name == "" && random.Intn(2) == 0 {
			n.kids[i] = by
			return
		}
		if random.Intn(2) == 0 {
			kid.replaceLeaf(k, by)
		}
	}
}

func arithmetic(k kind, depth int) *node {
	signs := []string{"+", "-", "*", "/", "%"}
	if k == Double {
		signs = signs[:4]
	}
	sign := oneOf(signs...)
	level := productLevel
	if sign == "+" || sign == "-" {
		level = sumLevel
	}
	return binary(k, level, sign, generate(k, depth), generate(k, depth))
}

func negation(k kind, depth int) *node {
	operand := generate(k, depth)
	if operand.level == unaryLevel {
		operand = apply(k, memberLevel, "()", "(%s)", []int{ifLevel}, operand)
	}
	return apply(k, unaryLevel, "-1", "-%s", []int{memberLevel}, operand)
}

var timeParts = []string{"getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek", "getHours",
	"getMinutes", "getSeconds", "getMilliseconds"}

func isTimePart(name string) bool {
	for _, part := range timeParts {
		if part == name {
			return true
		}
	}
	return false
}

func zone() *node {
	if random.Intn(4) == 0 {
		return path(Text, "client.zone")
	}
	return leaf(Text, memberLevel, fmt.Sprintf("%q", oneOf(zones...)))
}

// Times near the ends of their range, which are used for nothing else: cel-go's durations do not reach from one to the other.
func edge(depth int) *node {
	at := leaf(Time, memberLevel, oneOf(`timestamp("9999-12-31T23:00:00Z")`, `timestamp("0001-01-01T01:00:00Z")`,
		`timestamp(253402300799)`, `timestamp(-62135596800)`))
	sum := binary(Time, sumLevel, oneOf("+", "-"), at, generate(Span, depth))
	if random.Intn(3) == 0 {
		sum = call(Time, "timestamp", generate(Int, depth))
	}
	return method(Int, "getFullYear", sum)
}

func integer(depth int) *node {
	switch random.Intn(11) {
	case 0, 1, 2:
		return arithmetic(Int, depth)
	case 3:
		return negation(Int, depth)
	case 4:
		return call(Int, "int", generate(oneOf(Int, Double, Text, Time), depth))
	case 5:
		k := oneOf(Text, ListOf+Int, ListOf+Text)
		if random.Intn(2) == 0 {
			return method(Int, "size", generate(k, depth))
		}
		return call(Int, "size", generate(k, depth))
	case 6:
		return call(Int, "size", path(ListOf+Null, "client.counts", "client.messages"))
	case 7:
		if random.Intn(2) == 0 {
			return method(Int, oneOf(timeParts...), generate(Time, depth), zone())
		}
		return method(Int, oneOf(timeParts...), generate(Time, depth))
	case 8:
		return method(Int, oneOf("getHours", "getMinutes", "getSeconds", "getMilliseconds"), generate(Span, depth))
	case 9:
		return edge(depth)
	}
	return item(Int, depth)
}

func item(k kind, depth int) *node {
	index := intLiteral(int64(random.Intn(4)) - 1)
	if random.Intn(3) == 0 {
		index = generate(Int, depth)
	}
	list := generate(ListOf+k, depth)
	return apply(k, memberLevel, "[]", "%s[%s]", []int{memberLevel, ifLevel}, list, index)
}

func double(depth int) *node {
	switch random.Intn(6) {
	case 0, 1, 2:
		return arithmetic(Double, depth)
	case 3:
		return negation(Double, depth)
	case 4:
		return call(Double, "double", generate(oneOf(Int, Double, Text), depth))
	}
	return item(Double, depth)
}

func text(depth int) *node {
	switch random.Intn(4) {
	case 0, 1:
		return binary(Text, sumLevel, "+", generate(Text, depth), generate(Text, depth))
	case 2:
		return item(Text, depth)
	}
	return call(Text, "string", generate(oneOf(Bool, Int, Double, Text, Time, Span), depth))
}

func moment(depth int) *node {
	switch random.Intn(4) {
	case 0:
		return call(Time, "timestamp", generate(oneOf(Time, Text), depth))
	case 1:
		return binary(Time, sumLevel, "+", generate(Span, depth), generate(Time, depth))
	}
	return binary(Time, sumLevel, oneOf("+", "-"), generate(Time, depth), generate(Span, depth))
}

func span(depth int) *node {
	switch random.Intn(4) {
	case 0:
		return binary(Span, sumLevel, "-", generate(Time, depth), generate(Time, depth))
	case 1:
		return call(Span, "duration", generate(oneOf(Span, Text), depth))
	}
	return binary(Span, sumLevel, oneOf("+", "-"), generate(Span, depth), generate(Span, depth))
}

func list(k kind, depth int) *node {
	switch random.Intn(3) {
	case 0:
		return binary(k, sumLevel, "+", generate(k, depth), generate(k, depth))
	case 1:
		return literal(k)
	}
	if k-ListOf >= ListOf {
		return literal(k)
	}
	n := &node{kind: k, level: memberLevel, form: "[%s, %s]", needs: []int{ifLevel, ifLevel}}
	n.kids = []*node{generate(k-ListOf, depth), generate(k-ListOf, depth)}
	return n
}

// The tree with one part replaced by one of another kind: mostly an error of types.
func spoil(tree *node) *node {
	n := tree
	for len(n.kids) > 0 && random.Intn(4) > 0 {
		i := random.Intn(len(n.kids))
		if len(n.kids[i].kids) == 0 || random.Intn(3) == 0 {
			other := oneOf(Bool, Int, Double, Text, Time, Span, ListOf+Int, ListOf+Text)
			if n.kids[i].kind == other || (n.name == "exists" || n.name == "all") && i == 1 {
				break
			}
			n.kids[i] = generate(other, random.Intn(2))
			break
		}
		n = n.kids[i]
	}
	return tree.settle()
}
