package main

// This file finds the mutants of a package: the places of its source where one small change can be
// made, and for each change how it is switched on at run time.

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// mutant is one change of the source.
type mutant struct {
	id   int    // what the environment of a test selects it by; from 1
	file string // below the root of the module
	line int
	fn   string // the function, with its receiver: list.match
	what string // the change: "a < b → a <= b", "remove x++"

	covered token.Position // which statement must be executed for the change to matter
}

// name is what the list of reasons calls the mutant. It does not change when lines move.
func (m *mutant) name() string { return m.file + " " + m.fn + ": " + m.what }

// finder walks over the files of one package.
type finder struct {
	fset    *token.FileSet
	info    *types.Info
	pkg     *types.Package
	mutants []*mutant
	names   map[string]int // how many mutants have a name

	// Of the file that is walked over.
	path    string
	src     []byte
	imports map[string]bool
	edits   edits

	// Of the node that is walked over.
	fn      string
	covered token.Pos
	parents []ast.Node
}

// opposites are the changes of each operator on booleans and ordered values: first the boundary,
// then the opposite.
var opposites = map[token.Token][]token.Token{
	token.LSS:  {token.LEQ, token.GEQ},
	token.LEQ:  {token.LSS, token.GTR},
	token.GTR:  {token.GEQ, token.LEQ},
	token.GEQ:  {token.GTR, token.LSS},
	token.EQL:  {token.NEQ},
	token.NEQ:  {token.EQL},
	token.LAND: {token.LOR},
	token.LOR:  {token.LAND},
}

// arithmetic are the changes of operators on numbers, and of their assignments.
var arithmetic = map[token.Token]token.Token{
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL, token.REM: token.MUL,
	token.ADD_ASSIGN: token.SUB_ASSIGN, token.SUB_ASSIGN: token.ADD_ASSIGN,
	token.MUL_ASSIGN: token.QUO_ASSIGN, token.QUO_ASSIGN: token.MUL_ASSIGN,
}

// mutateFile finds the mutants of a file, and returns its source with all of them in it.
func (f *finder) mutateFile(path string, file *ast.File, src []byte) []byte {
	f.path, f.src, f.edits = path, src, newEdits()
	f.imports = map[string]bool{}
	for _, i := range file.Imports {
		if i.Name == nil {
			f.imports[strings.Trim(i.Path.Value, `"`)] = true
		}
	}
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue // variables of the package are there before a test is
		}
		f.fn = receiver(fn) + fn.Name.Name
		f.covered = fn.Body.Lbrace
		f.parents = f.parents[:0]
		f.closeFunc(fn.Type, fn.Body)
		f.walk(fn.Body)
	}
	return f.edits.apply(src)
}

// receiver is the type of a method, and a dot.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	t := fn.Recv.List[0].Type
	for {
		switch e := t.(type) {
		case *ast.StarExpr:
			t = e.X
		case *ast.IndexExpr:
			t = e.X
		case *ast.IndexListExpr:
			t = e.X
		case *ast.Ident:
			return e.Name + "."
		default:
			return ""
		}
	}
}

// closeFunc lets a function return zero values where a removed statement makes it reach its end.
func (f *finder) closeFunc(t *ast.FuncType, body *ast.BlockStmt) {
	if t.Results == nil || len(body.List) == 0 {
		return
	}
	if _, ok := body.List[len(body.List)-1].(*ast.ReturnStmt); ok {
		return
	}
	var zeros []string
	for _, r := range t.Results.List {
		if len(r.Names) > 0 {
			zeros = nil
			break
		}
		zeros = append(zeros, "*new("+f.text(r.Type)+")")
	}
	f.edits.open(f.offset(body.Rbrace), "; return "+strings.Join(zeros, ", ")+"\n")
}

// walk finds the mutants of a node and of what is in it.
func (f *finder) walk(n ast.Node) {
	switch n.(type) {
	case nil, *ast.GenDecl: // constants of a function cannot change; its variables are walked over below
		if d, ok := n.(*ast.GenDecl); !ok || d.Tok != token.VAR {
			return
		}
	case *ast.ArrayType:
		return
	}
	covered := f.covered
	if isStatement(n) {
		f.covered = n.Pos()
	}
	if e, ok := n.(ast.Expr); ok && f.isConstant(e) {
		f.constant(e)
		f.covered = covered
		return
	}
	f.here(n)
	f.parents = append(f.parents, n)
	ast.Inspect(n, func(child ast.Node) bool {
		if child == n || child == nil {
			return child == n
		}
		if !f.isArrayKey(n, child) {
			f.walk(child)
		}
		return false
	})
	f.parents = f.parents[:len(f.parents)-1]
	f.covered = covered
}

// isStatement reports whether coverage knows when n is executed. A clause is looked for where its
// switch is: its expressions are evaluated there.
func isStatement(n ast.Node) bool {
	switch n.(type) {
	case *ast.BlockStmt, *ast.CaseClause, *ast.CommClause, *ast.LabeledStmt:
		return false
	}
	_, ok := n.(ast.Stmt)
	return ok
}

// here finds the mutants of a node alone.
func (f *finder) here(n ast.Node) {
	switch n := n.(type) {
	case *ast.FuncLit:
		f.closeFunc(n.Type, n.Body)
	case *ast.BlockStmt:
		f.statements(n.List, f.isFuncBody(n))
	case *ast.CaseClause:
		f.clause(n, n.Body)
		f.statements(n.Body, false)
		for _, e := range n.List {
			f.condition(e)
		}
	case *ast.CommClause:
		f.clause(n, n.Body)
		f.statements(n.Body, false)
	case *ast.IfStmt:
		f.condition(n.Cond)
	case *ast.ForStmt:
		f.condition(n.Cond)
	case *ast.ReturnStmt:
		f.conditions(n.Results)
	case *ast.AssignStmt:
		f.conditions(n.Rhs)
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.Ident:
		if b, ok := f.info.Uses[n].(*types.Const); ok && b.Pkg() == nil && (n.Name == "true" || n.Name == "false") {
			f.negate(n, n.Name+" → "+map[string]string{"true": "false", "false": "true"}[n.Name]+" in "+f.parentText())
		}
	}
}

// isFuncBody reports whether a block is the body of the innermost function.
func (f *finder) isFuncBody(b *ast.BlockStmt) bool {
	if len(f.parents) == 0 {
		return true
	}
	_, ok := f.parents[len(f.parents)-1].(*ast.FuncLit)
	return ok
}

// isArrayKey reports whether child is the index of an element of an array or a slice, which has to
// be a constant.
func (f *finder) isArrayKey(parent, child ast.Node) bool {
	kv, ok := parent.(*ast.KeyValueExpr)
	if !ok || child != ast.Node(kv.Key) || len(f.parents) < 2 {
		return false
	}
	lit, ok := f.parents[len(f.parents)-2].(*ast.CompositeLit)
	if !ok {
		return true
	}
	switch f.info.TypeOf(lit).Underlying().(type) {
	case *types.Map:
		return false
	}
	return true
}

// isConstant reports whether the compiler knows the value of e.
func (f *finder) isConstant(e ast.Expr) bool {
	if id, ok := e.(*ast.Ident); ok && (id.Name == "true" || id.Name == "false") {
		return false // a boolean that can be negated
	}
	return f.info.Types[e].Value != nil
}

// constant changes a number by one, or 1 to 0. Numbers that only have a name are left alone, and the
// 0 that is returned beside other values, which mostly say that it has no meaning.
func (f *finder) constant(e ast.Expr) {
	v := f.info.Types[e].Value
	if v.Kind() != constant.Int && v.Kind() != constant.Float || !hasLiteral(e) || f.isCapacity(e) ||
		f.isOneOfResults() && constant.Sign(v) == 0 {
		return
	}
	name, ok := f.typeName(f.info.TypeOf(e))
	if !ok {
		return
	}
	to := "+ 1"
	if constant.Compare(v, token.EQL, constant.MakeInt64(1)) {
		to = "- 1"
	}
	m := f.add(e, fmt.Sprintf("%s %s in %s", f.text(e), to, f.parentText()))
	f.edits.open(f.offset(e.Pos()), fmt.Sprintf("mutateConstant_[%s](%d, ", name, m.id))
	f.edits.close(f.offset(e.End()), ")")
}

// hasLiteral reports whether e has a number in it.
func hasLiteral(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		_, ok := n.(*ast.BasicLit)
		found = found || ok
		return true
	})
	return found
}

// isCapacity reports whether e is the capacity of a slice that is made, which changes no result.
func (f *finder) isCapacity(e ast.Expr) bool {
	if len(f.parents) == 0 {
		return false
	}
	call, ok := f.parents[len(f.parents)-1].(*ast.CallExpr)
	if !ok || len(call.Args) != 3 || call.Args[2] != e {
		return false
	}
	id, ok := call.Fun.(*ast.Ident)
	return ok && id.Name == "make"
}

// isOneOfResults reports whether the node that is walked over is one of several that are returned.
func (f *finder) isOneOfResults() bool {
	if len(f.parents) == 0 {
		return false
	}
	r, ok := f.parents[len(f.parents)-1].(*ast.ReturnStmt)
	return ok && len(r.Results) > 1
}

// typeName is how the file that is walked over writes a type, if it can.
func (f *finder) typeName(t types.Type) (string, bool) {
	if b, ok := t.(*types.Basic); ok && b.Info()&types.IsUntyped != 0 {
		t = types.Default(t)
	}
	if b, ok := t.Underlying().(*types.Basic); !ok || b.Info()&types.IsNumeric == 0 {
		return "", false
	}
	known := true
	name := types.TypeString(t, func(p *types.Package) string {
		if p == f.pkg {
			return ""
		}
		known = known && f.imports[p.Path()]
		return p.Name()
	})
	return name, known
}

// binary changes an operator.
func (f *finder) binary(e *ast.BinaryExpr) {
	if to, ok := opposites[e.Op]; ok {
		f.boolean(e, to)
		if e.Op == token.LAND || e.Op == token.LOR {
			f.condition(e.X)
			f.condition(e.Y)
		}
		return
	}
	to, ok := arithmetic[e.Op]
	if !ok || !isNumber(f.info.TypeOf(e)) || e.Op == token.REM && !isInteger(f.info.TypeOf(e)) {
		return
	}
	m := f.add(e, f.text(e)+" → "+f.text(e.X)+" "+to.String()+" "+f.text(e.Y))
	names := map[token.Token]string{token.ADD: "Add", token.SUB: "Sub", token.MUL: "Mul", token.QUO: "Quo", token.REM: "Rem"}
	f.edits.open(f.offset(e.Pos()), fmt.Sprintf("mutate%s_(%d, ", names[e.Op], m.id))
	f.edits.replace(f.offset(e.OpPos), len(e.Op.String()), ",")
	f.edits.close(f.offset(e.End()), ")")
}

func isNumber(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&(types.IsInteger|types.IsFloat) != 0
}

func isInteger(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsInteger != 0
}

// boolean changes an operator whose result is a boolean. The changed expressions stand beside the
// given one; as one change at most is switched on, they have none in them.
func (f *finder) boolean(e *ast.BinaryExpr, to []token.Token) {
	x, y := f.text(e.X), f.text(e.Y)
	var changed, given strings.Builder
	for _, op := range to {
		m := f.add(e, oneLine(f.text(e))+" → "+oneLine(x)+" "+op.String()+" "+oneLine(y))
		fmt.Fprintf(&changed, "mutant_ == %d && ((%s) %s (%s)) || ", m.id, x, op, y)
		fmt.Fprintf(&given, "mutant_ != %d && ", m.id)
	}
	f.edits.open(f.offset(e.Pos()), "("+changed.String()+given.String()+"(")
	f.edits.close(f.offset(e.End()), "))")
}

func (f *finder) conditions(list []ast.Expr) {
	for _, e := range list {
		f.condition(e)
	}
}

// condition negates a boolean that is no comparison: those are changed by their operators.
func (f *finder) condition(e ast.Expr) {
	if e == nil || f.isConstant(e) || !isBoolean(f.info.TypeOf(e)) {
		return
	}
	switch inner := ast.Unparen(e).(type) {
	case *ast.BinaryExpr, *ast.FuncLit:
		return
	case *ast.Ident:
		if inner.Name == "true" || inner.Name == "false" {
			return
		}
	}
	f.negate(e, f.text(e)+" → !"+f.text(e))
}

func isBoolean(t types.Type) bool {
	if t == nil {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&types.IsBoolean != 0
}

func (f *finder) negate(e ast.Expr, what string) {
	m := f.add(e, what)
	f.edits.open(f.offset(e.Pos()), fmt.Sprintf("((mutant_ == %d) != (", m.id))
	f.edits.close(f.offset(e.End()), "))")
}

// clause removes the body of a case, where that is more than one statement.
func (f *finder) clause(n ast.Node, body []ast.Stmt) {
	if len(body) == 0 || len(body) == 1 && isRemovable(body[0]) {
		return
	}
	last := body[len(body)-1]
	if b, ok := last.(*ast.BranchStmt); ok && b.Tok == token.FALLTHROUGH {
		return
	}
	covered := f.covered
	f.covered = body[0].Pos()
	m := f.add(n, "remove what follows "+f.text(n))
	f.covered = covered
	f.edits.open(f.offset(body[0].Pos()), fmt.Sprintf("if mutant_ != %d { ", m.id))
	f.edits.close(f.offset(last.End()), " }")
}

// statements removes each statement of a list that can be left out.
func (f *finder) statements(list []ast.Stmt, isFuncBody bool) {
	for i, s := range list {
		if _, ok := s.(*ast.ReturnStmt); ok && isFuncBody && i == len(list)-1 || !isRemovable(s) {
			continue
		}
		covered := f.covered
		f.covered = s.Pos()
		f.statement(s)
		f.covered = covered
	}
}

// isRemovable reports whether a function without s can be compiled.
func isRemovable(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.AssignStmt:
		if s.Tok == token.DEFINE {
			return false
		}
		for _, l := range s.Lhs {
			if id, ok := l.(*ast.Ident); !ok || id.Name != "_" {
				return true
			}
		}
		return false
	case *ast.BranchStmt:
		return s.Tok == token.BREAK || s.Tok == token.CONTINUE
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.ReturnStmt, *ast.GoStmt, *ast.DeferStmt, *ast.SendStmt:
		return true
	}
	return false
}

// statement removes a statement, and changes the operator of an assignment.
func (f *finder) statement(s ast.Stmt) {
	other := ""
	switch s := s.(type) {
	case *ast.AssignStmt:
		if to, ok := arithmetic[s.Tok]; ok && isNumber(f.info.TypeOf(s.Lhs[0])) {
			other = f.text(s.Lhs[0]) + " " + to.String() + " " + f.text(s.Rhs[0])
		}
	case *ast.IncDecStmt:
		other = f.text(s.X) + map[token.Token]string{token.INC: "--", token.DEC: "++"}[s.Tok]
	}
	m := f.add(s, "remove "+f.text(s))
	open := fmt.Sprintf("if mutant_ != %d { ", m.id)
	if other != "" {
		m := f.add(s, f.text(s)+" → "+oneLine(other))
		open = fmt.Sprintf("if mutant_ == %d { %s } else ", m.id, other) + open
	}
	f.edits.open(f.offset(s.Pos()), open)
	f.edits.close(f.offset(s.End()), " }")
}

// add notes a mutant at a node.
func (f *finder) add(n ast.Node, what string) *mutant {
	m := &mutant{
		id: len(f.mutants) + 1, file: f.path, line: f.fset.Position(n.Pos()).Line, fn: f.fn,
		what: oneLine(what), covered: f.fset.Position(f.covered),
	}
	if f.names[m.name()]++; f.names[m.name()] > 1 {
		m.what += fmt.Sprintf(" #%d", f.names[m.name()])
	}
	f.mutants = append(f.mutants, m)
	return m
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// text is the source of a node.
func (f *finder) text(n ast.Node) string {
	return string(f.src[f.offset(n.Pos()):f.offset(n.End())])
}

// parentText is the source around the node that is walked over.
func (f *finder) parentText() string {
	if len(f.parents) == 0 {
		return ""
	}
	return f.text(f.parents[len(f.parents)-1])
}

// oneLine is the beginning of s, with its white space as single spaces.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > maxWhat {
		s = string(r[:maxWhat-1]) + "…"
	}
	return s
}

// maxWhat is how many characters of the source a change is described with.
const maxWhat = 100
