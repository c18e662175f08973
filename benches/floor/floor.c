/*
 * The floor of every comparison: an output plugin that looks at nothing and writes nothing. What a
 * walsender spends with it is what PostgreSQL itself needs to read the WAL, to put transactions
 * together and to call a plugin for each change.
 */
#include "postgres.h"
#include "fmgr.h"
#include "replication/logical.h"
#include "replication/output_plugin.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_output_plugin_init(OutputPluginCallbacks *callbacks);

static void
startup(LogicalDecodingContext *context, OutputPluginOptions *options, bool is_init)
{
	options->output_type = OUTPUT_PLUGIN_BINARY_OUTPUT;
}

static void
begin(LogicalDecodingContext *context, ReorderBufferTXN *transaction)
{
}

static void
change(LogicalDecodingContext *context, ReorderBufferTXN *transaction, Relation relation,
	   ReorderBufferChange *one)
{
}

static void
commit(LogicalDecodingContext *context, ReorderBufferTXN *transaction, XLogRecPtr lsn)
{
#if PG_VERSION_NUM >= 150000
	OutputPluginUpdateProgress(context, false);
#else
	OutputPluginUpdateProgress(context);
#endif
}

void
_PG_output_plugin_init(OutputPluginCallbacks *callbacks)
{
	callbacks->startup_cb = startup;
	callbacks->begin_cb = begin;
	callbacks->change_cb = change;
	callbacks->commit_cb = commit;
}
