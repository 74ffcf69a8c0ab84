package schema

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/graphtide/graphtide/graph"
)

// Bounds of a condition. The cost limit is what counts: it stops a runaway at
// the same step on every node. The deadline is for what costs do not see.
const (
	conditionCost    = 100_000
	conditionTime    = time.Second
	maxConditionSize = 10_000 // code points
)

// conditions is the environment of all conditions.
var conditions = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("before", cel.DynType),
		cel.Variable("after", cel.DynType),
		cel.Variable("event", cel.StringType),
		cel.Variable("by", cel.StringType),
		cel.Variable("version", cel.IntType),
		cel.CrossTypeNumericComparisons(true),
		cel.ParserExpressionSizeLimit(maxConditionSize),
		cel.ParserRecursionLimit(100),
		cel.RegexProgramSizeLimit(maxPatternProgram),
	)
})

// compileCondition compiles a `when`.
func compileCondition(src string) (program cel.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			program, err = nil, fmt.Errorf("%v", r)
		}
	}()
	env, err := conditions()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(src)
	if issues.Err() != nil {
		return nil, errors.New(strings.TrimSpace(strings.Join(messages(issues), "; ")))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("it must give true or false, not %s", t)
	}
	return env.Program(ast, cel.CostLimit(conditionCost), cel.InterruptCheckFrequency(100))
}

func messages(issues *cel.Issues) []string {
	var out []string
	for _, e := range issues.Errors() {
		out = append(out, fmt.Sprintf("%s (column %d)", e.Message, e.Location.Column()+1))
	}
	return out
}

// conditionInput gives the variables of conditions for one change, decoded at
// most once.
type conditionInput struct {
	commit *graph.Commit
	change *graph.Change
	vars   map[string]any
	err    error
}

func (in *conditionInput) variables() (map[string]any, error) {
	if in.vars != nil || in.err != nil {
		return in.vars, in.err
	}
	ch := in.change
	before, err := entity(ch.Ref, ch.ObjBefore, ch.EdgeBefore)
	if err != nil {
		in.err = err
		return nil, err
	}
	after, err := entity(ch.Ref, ch.ObjAfter, ch.EdgeAfter)
	if err != nil {
		in.err = err
		return nil, err
	}
	in.vars = map[string]any{
		"before": before, "after": after, "event": ch.Event.String(),
		"by": in.commit.Author.User, "version": int64(in.commit.Version),
	}
	return in.vars, nil
}

// entity gives an entity as conditions see it: as in the graph document with
// its id, without access; nil where it does not exist.
func entity(ref graph.Ref, o *graph.Object, e *graph.Edge) (any, error) {
	var raw []byte
	switch {
	case o != nil:
		raw = o.AppendJSON(nil, false)
	case e != nil:
		raw = e.AppendJSON(nil)
	default:
		return nil, nil
	}
	v, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", ref.IDString(), err)
	}
	m, _ := plainNumbers(v).(map[string]any)
	m["id"] = ref.IDString()
	return m, nil
}

// plainNumbers turns decoded numbers into CEL's: int where the number is whole
// and fits, else double.
func plainNumbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i, x := range v {
			v[i] = plainNumbers(x)
		}
	case map[string]any:
		for k, x := range v {
			v[k] = plainNumbers(x)
		}
	}
	return v
}

// holds evaluates the rule's condition.
func (r *Rule) holds(in *conditionInput) (ok bool, err error) {
	if r.When == nil {
		return true, nil
	}
	vars, err := in.variables()
	if err != nil {
		return false, err
	}
	defer func() {
		if p := recover(); p != nil {
			ok, err = false, fmt.Errorf("%v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), conditionTime)
	defer cancel()
	value, _, err := r.When.ContextEval(ctx, vars)
	if err != nil {
		return false, err
	}
	ok, isBool := value.Value().(bool)
	if !isBool {
		return false, fmt.Errorf("the condition gives %s, not true or false", value.Type().TypeName())
	}
	return ok, nil
}
