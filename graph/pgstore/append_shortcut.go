package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/graphtide/graphtide/graph"
)

// shortcut is a statement that writes the batches of one common kind for less of the
// database's time than the functions that provide for everything. It looks for the
// same obstacles; where it meets one it has written nothing, and appendWhole, which is
// called after it, says which.
type shortcut struct {
	fits    func(*graph.Batch, *plan) bool // whether it can be tried
	name    string
	prepare func(context.Context, *pgx.Conn) error
	params  func(*appendBuffers, *pgx.Conn, *graph.Batch, *plan) [][]byte
}

// shortcuts are told apart by what fits: at most one does.
var shortcuts = []shortcut{
	{changesOne, changeName, prepareChange, loneParams},
	{edits, editsName, prepareEdits, editParams},
}

// append runs the statement. done is false where something was not as expected, and
// nothing was written.
func (s *shortcut) append(ctx context.Context, conn *pgx.Conn, b *graph.Batch, p *plan) (done bool, err error) {
	if err := s.prepare(ctx, conn); err != nil {
		return false, err
	}
	bufs := buffers.Get().(*appendBuffers)
	defer buffers.Put(bufs) // the parameters are copied as they are sent
	tag, err := conn.PgConn().ExecPrepared(ctx, s.name, s.params(bufs, conn, b, p), allBinary, allBinary).Close()
	return err == nil && tag.RowsAffected() > 0, err
}
