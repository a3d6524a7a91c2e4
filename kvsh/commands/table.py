"""All commands, under the headings of `.help`.  `docs/shell.md` has a line for each, and a test sees to that."""

from __future__ import annotations

from kvsh.commands.command import Command

_MODES = "one of box table column list line csv tsv json jsonl markdown insert quote html ascii tcl"
_SWITCH = "one of on off"

_ALL: tuple[Command | str, ...] = (
    "Keys",
    Command(
        "put", "raw", "raw:put", "put KEY VALUE [--ttl TIME]",
        "set a key",
        "Keys and values are bare words, 'single' or \"double\" quoted, or x'00ff' for bytes. With --ttl the"
        " key expires after that time (500ms, 30s, 5m, 2h, 7d).",
        'put user:1 "Ada Lovelace" --ttl 7d',
        arguments=("key", ""), options={"--ttl": "time"}, least=2, aliases=("set",),
    ),
    Command(
        "get", "raw", "raw:get", "get KEY", "print a key's value",
        "Prints nothing and ends with status 1 if there is no such key.",
        "get user:1", arguments=("key",), least=1,
    ),
    Command(
        "delete", "raw", "raw:delete", "delete KEY... | --prefix P", "delete keys",
        "Keys that are not there are no error. --prefix P: all keys that begin so; on a terminal it asks. DELETE FROM is SQL.",
        "delete user:1", arguments=("key...",), options={"--prefix": "key"}, aliases=("del",),
    ),
    Command(
        "exists", "raw", "raw:exists", "exists KEY", "print 1 if the key is there, else 0",
        "Ends with status 1 if it is not there.",
        "exists user:1", arguments=("key",), least=1,
    ),
    Command(
        "scan", "raw", "raw:scan",
        "scan [FROM [TO]] [--prefix P] [--limit N] [--reverse] [--keys]",
        "print keys and values in order",
        "From FROM on, up to but without TO. --keys prints the keys only.",
        "scan --prefix user: --limit 10",
        arguments=("key", "key"),
        options={"--prefix": "key", "--limit": "number", "--reverse": "", "--keys": ""},
    ),
    Command(
        "count", "raw", "raw:count", "count [--prefix P]", "print how many keys there are",
        "With --prefix, those that start with P.",
        "count --prefix user:", options={"--prefix": "key"},
    ),
    Command(
        "incr", "raw", "raw:incr", "incr KEY [N]", "add 1 or N to a number, and print it",
        "A key that is not there counts as 0. The value must be a whole number.",
        "incr visits 10", arguments=("key", "number"), least=1,
    ),
    Command(
        "expire", "raw", "raw:expire", "expire KEY TIME", "let a key expire",
        "After TIME (500ms, 30s, 5m, 2h, 7d) the key is gone. Ends with status 1 if there is no such key.",
        "expire session:9 30m", arguments=("key", "time"), least=2,
    ),
    Command(
        "ttl", "raw", "raw:ttl", "ttl KEY", "print the seconds until a key expires",
        "Begun seconds count as whole ones. Prints -1 for a key that does not expire; status 1 if there is none.",
        "ttl session:9", arguments=("key",), least=1,
    ),
    Command(
        "persist", "raw", "raw:persist", "persist KEY", "take a key's expiry away",
        "Ends with status 1 if there is no such key.",
        "persist session:9", arguments=("key",), least=1,
    ),
    "Transactions",
    Command(
        "begin", "raw", "raw:begin", "begin", "begin a transaction",
        "Raw commands and SQL share it. BEGIN; is the same.", "begin",
    ),
    Command(
        "commit", "raw", "raw:commit", "commit", "commit the transaction",
        "COMMIT; is the same.", "commit",
    ),
    Command(
        "rollback", "raw", "raw:rollback", "rollback", "undo the transaction",
        "ROLLBACK; is the same.", "rollback",
    ),
    "Schema",
    Command(
        ".tables", "dot", "schema:tables", ".tables [PATTERN]", "list tables and views",
        "PATTERN is a LIKE pattern.", ".tables inv%", arguments=("table",),
        aliases=("\\dt",),
    ),
    Command(
        ".schema", "dot", "schema:schema", ".schema [NAME] [--indent]", "print CREATE statements",
        "Of the table, view, index or trigger NAME (a LIKE pattern), or of all. --indent: a line for each column.",
        ".schema track", arguments=("table",), options={"--indent": "", "--nosys": ""},
        aliases=(".fullschema",),
    ),
    Command(
        ".indexes", "dot", "schema:indexes", ".indexes [TABLE]", "list indexes",
        "Of TABLE, or all of them.", ".indexes track", arguments=("table",), aliases=(".indices", "\\di"),
    ),
    Command(
        ".describe", "dot", "describing:describe", ".describe [NAME]",
        "show a table's columns, keys and indexes",
        "What refers to it, too. Without NAME, all tables and views with their sizes. In modes for programs the"
        " columns alone.",
        ".describe track", arguments=("table",),
        aliases=("\\d",),
    ),
    Command(
        ".summarize", "dot", "describing:summarize", ".summarize TABLE | SELECT ...",
        "show what is in each column",
        "Types, NULLs, distinct values, the smallest, the largest, and the mean of the numbers.",
        ".summarize track", arguments=("table",), least=1, is_verbatim=True, may_end_in="query",
    ),
    Command(
        ".databases", "dot", "schema:databases", ".databases", "print the open databases",
        "Their files, and whether they are read-only: main, and those that ATTACH has opened.", ".databases",
        aliases=("\\l",),
    ),
    "Results",
    Command(
        ".mode", "dot", "settings:mode", ".mode [MODE] [TABLE] [--header | --noheader] [--wrap N] [--quote]",
        "set the output mode",
        "box, table, column, list, line, csv, tsv, json, jsonl, markdown, insert, quote, html, ascii, tcl. TABLE is"
        " the name that insert uses. Without MODE, print the mode in force. In drawn tables --wrap breaks texts into"
        " lines of N cells, --quote shows values as SQL has them; .mode qbox is .mode box --wrap 60 --quote.",
        ".mode box --wrap 30", arguments=(_MODES, "table"),
        options={
            "--header": "", "--headers": "", "--noheader": "", "--wrap": "number", "--ww": "",
            "--wordwrap": "one of on", "--quote": "", "--noquote": "",
        },
    ),
    Command(
        ".headers", "dot", "settings:headers", ".headers [on|off]", "print column names or not",
        "Each mode has a default of its own until this is set.", ".headers on",
        arguments=(_SWITCH,), aliases=(".header",),
    ),
    Command(
        ".nullvalue", "dot", "settings:nullvalue", ".nullvalue TEXT", "set what NULL prints as",
        "Default: nothing.", ".nullvalue NULL", arguments=("",), least=1,
    ),
    Command(
        ".separator", "dot", "settings:separator", ".separator TEXT [ROWS]",
        "set the separator of list, csv, quote, ascii and tcl",
        "ROWS is what rows end with, a newline at first. \\t is a tab, \\r\\n the line end of Windows.",
        '.separator "\\t"', arguments=("", ""), least=1,
    ),
    Command(
        ".width", "dot", "settings:width", ".width [N...]", "set column widths of drawn tables",
        "0 is automatic; without numbers all are.", ".width 20 0 10", arguments=("number...",),
    ),
    Command(
        "\\x", "dot", "settings:expanded", "\\x [on|off]", "show a column a line, or no longer",
        "Goes to the mode line and back. On a terminal a table that would be hard to read is shown so anyway.",
        "\\x", arguments=(_SWITCH,),
    ),
    Command(
        ".output", "dot", "files:output", ".output [FILE | |COMMAND]",
        "send results to a file or a command",
        "Without an argument, back to standard output.", ".output result.csv",
        arguments=("file...",),
        aliases=("\\o",),
    ),
    Command(
        ".once", "dot", "files:once", ".once FILE | |COMMAND",
        "send the next result to a file or a command",
        "Only the next statement's.", ".once |sort -n", arguments=("file...",), least=1,
    ),
    "Statements",
    Command(
        ".timer", "dot", "settings:timer", ".timer [on|off]", "print how long statements take",
        "On standard error. At a prompt what is typed is timed, and a file that is read as a whole, until this is said.",
        ".timer on", arguments=(_SWITCH,),
    ),
    Command(
        "\\timing", "dot", "settings:timing", "\\timing [on|off]", "print how long statements take, or no longer",
        "As .timer, but without a word it is switched over.", "\\timing", arguments=(_SWITCH,),
    ),
    Command(
        ".print", "dot", "settings:print_", ".print TEXT...", "print a text",
        "To where results go.", ".print 'now the totals'", arguments=("...",),
        aliases=("\\echo", "\\qecho"),
    ),
    Command(
        ".bail", "dot", "settings:bail", ".bail [on|off]", "stop a script at its first error, or not",
        "On at the start; --no-bail is .bail off. A script with an error ends with status 1 either way.",
        ".bail off", arguments=(_SWITCH,),
    ),
    Command(
        ".changes", "dot", "settings:changes", ".changes [on|off]",
        "print how many rows a statement changed",
        "On standard error.", ".changes on", arguments=(_SWITCH,),
    ),
    Command(
        ".echo", "dot", "settings:echo", ".echo [on|off]", "print each statement before it runs",
        "For logs of scripts.", ".echo on", arguments=(_SWITCH,),
    ),
    Command(
        ".explain", "dot", "settings:explain", ".explain [off|plan|analyze|code]",
        "show plans instead of results",
        "Queries are shown as EXPLAIN, EXPLAIN ANALYZE or EXPLAIN CODE would.",
        ".explain plan", arguments=("one of off plan analyze code",),
    ),
    Command(
        ".eqp", "dot", "settings:eqp", ".eqp [on|off]", "show a query's plan before its result",
        "As .explain plan shows it, which shows the plan alone.", ".eqp on", arguments=(_SWITCH,),
    ),
    Command(
        ".show", "dot", "settings:show", ".show", "print the settings in force",
        "One a line.", ".show",
    ),
    Command(
        ".param", "dot", "settings:param", ".param set NAME VALUE | list | unset NAME | clear",
        "set parameters of statements",
        "Values are bound, not spliced in: numbers as numbers (but 007 as text), x'..' as bytes, an SQL expression"
        " in parentheses as what it gives, all else as text. NAME is that of :NAME, @NAME or $NAME, or the number"
        " of a ?; what was not set is NULL. kvsh --param NAME=VALUE sets one from outside.",
        ".param set newest (SELECT max(trackid) FROM track)",
        arguments=("one of set list unset clear", "", "value"), least=1, aliases=(".parameter",),
        may_end_in="parentheses",
    ),
    Command(
        ".timeout", "dot", "settings:timeout", ".timeout TIME", "cancel statements that run longer",
        "5s, 2m; 0 is never.", ".timeout 5s", arguments=("time",), least=1,
    ),
    "Files",
    Command(
        ".system", "dot", "files:system", ".system COMMAND", "run a command of the operating system",
        "Its output goes to the terminal.", ".system ls", arguments=("file...",), least=1,
        aliases=(".shell", "\\!"),
    ),
    Command(
        ".cd", "dot", "files:cd", ".cd [DIRECTORY]", "change the working directory",
        "Without DIRECTORY it is printed. The open database stays open.", ".cd /tmp",
        arguments=("directory",), aliases=("\\cd",),
    ),
    Command(
        ".open", "dot", "files:open_", ".open [--readonly] [FILE]", "open another database",
        "Without FILE, a scratch database in memory.", ".open --readonly app.db",
        arguments=("file",), options={"--readonly": ""},
        aliases=("\\c", "\\connect"),
    ),
    Command(
        ".read", "dot", "files:read", ".read FILE | |COMMAND", "run the statements of a file",
        "Or those that a command prints. Stops at the first error. .undo takes all of them back.",
        ".read load.sql", arguments=("file...",), least=1,
        aliases=("\\i", "\\ir", "\\include"),
    ),
    Command(
        ".import", "dot", "transfer:import_",
        ".import FILE [TABLE] [--format F] [--delimiter D] [--encoding E] [--no-header] [--header] [--skip N] [--null TEXT] [--strict]",
        "load csv, tsv, json, jsonl, sql, or a database of SQLite's",
        "The table is made if it is not there, with types inferred from the data; its name is the file's"
        " unless given. FILE may be \"|COMMAND\" in quotes, whose output is loaded, or -, standard input. A file packed by gzip is unpacked. Of a database of SQLite's, all or the one TABLE. One transaction. --skip leaves N lines out that stand before a csv or tsv table. --null NA has fields that say NA be NULL, --null '' empty ones of texts, too. Where a row has too few fields the rest are NULL, which is told. Rows that don't fit are reported by line and left out, and the status is 1;"
        " with --strict the first of them ends it and nothing is loaded.",
        ".import people.csv people --null NA", arguments=("file", "table"),
        options={
            "--format": "one of csv tsv json jsonl sql sqlite", "--delimiter": "char",
            "--encoding": "one of utf-8 latin-1 cp1252 utf-16",
            "--no-header": "", "--header": "", "--skip": "number", "--null": "text", "--strict": "", "--csv": "",
        },
        least=1,
    ),
    Command(
        ".export", "dot", "transfer:export", ".export FILE [TABLE | SELECT ...] [--format F]",
        "write a table or a query to a file",
        "The format is the file's ending: csv, tsv, json, jsonl, sql, md, html; with .gz behind it the file is packed. Without a table, all tables"
        " as SQL.",
        ".export track.csv track", arguments=("file", "table", "..."),
        options={"--format": "one of csv tsv json jsonl sql md html"}, least=1, may_end_in="query",
    ),
    Command(
        ".dump", "dot", "transfer:dump", ".dump [TABLE...] [--data-only]", "print the database as SQL",
        "sqlite3 loads it too. With --data-only the INSERTs alone.", ".dump", arguments=("table...",),
        options={"--data-only": ""},
    ),
    Command(
        ".backup", "dot", "files:backup", ".backup FILE", "copy the database to a file, as of now",
        "Consistent, while others read and write.", ".backup copy.db", arguments=("file...",), least=1,
        aliases=(".save", ".clone"),
    ),
    "Upkeep",
    Command(
        ".check", "dot", "upkeep:check", ".check", "check the file, its trees and its indexes",
        "Prints ok, or every problem found; then the status is 1.", ".check",
    ),
    Command(
        ".repair", "dot", "upkeep:repair", ".repair [FILE] TARGET",
        "salvage a damaged database into a new file",
        "Every page that can be read is used; what is lost is said. FILE, else the database that was"
        " named, is not changed, and need not open.",
        ".repair broken.db mended.db", arguments=("file", "file"), least=1,
    ),
    Command(
        ".compact", "dot", "upkeep:compact", ".compact", "rewrite the file without its dead bytes",
        "Others go on reading and writing meanwhile. VACUUM; is the same.", ".compact",
    ),
    Command(
        ".checkpoint", "dot", "upkeep:checkpoint", ".checkpoint",
        "write what the next open would have to replay",
        "Done by itself now and then, and at close.", ".checkpoint",
    ),
    Command(
        ".stats", "dot", "upkeep:stats", ".stats", "print figures of the file and the cache",
        "Bytes live and dead, pages, commits.", ".stats",
    ),
    "Inside",
    Command(
        ".log", "dot", "inside:log", ".log [N]", "show the commits in the file",
        "The newest N (20). kvsh --at COMMIT opens the database as it was then.", ".log 5",
        arguments=("number",),
    ),
    Command(
        ".tree", "dot", "inside:tree", ".tree [NAME] [--path KEY]", "draw a B-tree",
        "NAME is a table, an index, or kv. --path draws the way to a key.", ".tree track",
        arguments=("relation",), options={"--path": "key"},
    ),
    Command(
        ".page", "dot", "inside:page", ".page N", "show what is on a page",
        "Its place in the file, its head, and its cells.", ".page 2", arguments=("number",), least=1,
    ),
    Command(
        ".where", "dot", "inside:where", ".where SELECT ... FROM TABLE ...",
        "show where rows lie: keys, pages, bytes",
        "For the rows of one table, with their index entries.",
        ".where SELECT * FROM track WHERE trackid = 7", arguments=("sql",), least=1, is_verbatim=True,
    ),
    Command(
        ".crash", "dot", "inside:crash", ".crash [N]", "cut copies of the file and recover them",
        "Copies the file, commits N times (5) to the copy, cuts it in the middle of each of those commits as a"
        " crash would, and shows what recovery makes of it.", ".crash 3",
        arguments=("number",),
    ),
    "Tools",
    Command(
        ".chart", "dot", "tools:chart", ".chart bar|line|hist|spark SELECT ...", "draw a query's result",
        "The first column labels, the numbers after it are drawn.",
        ".chart bar SELECT genreid, count(*) FROM track GROUP BY 1",
        arguments=("one of bar line hist spark", "sql"), least=2, is_verbatim=True,
    ),
    Command(
        ".watch", "dot", "tools:watch", ".watch TIME [--times N] [STATEMENT]", "run a statement again and again",
        "Until Ctrl-C. Without STATEMENT, the last one.", ".watch 2s SELECT count(*) FROM invoice",
        arguments=("time", "sql"), least=2, is_verbatim=True, aliases=("\\watch",),
    ),
    Command(
        ".dry", "dot", "tools:dry", ".dry STATEMENT", "say what a statement would change",
        "It runs and is rolled back: the counts are exact, triggers and cascades included.",
        ".dry DELETE FROM invoice WHERE total < 1", arguments=("sql",), least=1, is_verbatim=True,
    ),
    Command(
        ".undo", "dot", "tools:undo", ".undo", "take the last committed statement back",
        "On a terminal; several times for several statements. Refused once somebody else has committed.",
        ".undo",
    ),
    Command(
        ".edit", "dot", "tools:edit", ".edit", "write the next statement in $EDITOR",
        "The editor shows the last statement; what you save stands at the next prompt.", ".edit",
        aliases=("\\e",),
    ),
    Command(
        ".f", "dot", "favourites:run", ".f [NAME [VALUE...]]", "run a favourite, or list them",
        "The values are bound to ?, ?1, ?2 and so on. Favourites stand in favourites.toml beside the configuration.",
        ".f", arguments=("favourite", "..."), aliases=("\\f",),
    ),
    Command(
        ".fs", "dot", "favourites:save", ".fs NAME [STATEMENT]", "keep a statement under a name",
        "Without STATEMENT, the last one.", ".fs genre SELECT * FROM track WHERE genreid = ?",
        arguments=("", "sql"), least=1, is_verbatim=True, aliases=("\\fs",),
    ),
    Command(
        ".fd", "dot", "favourites:forget", ".fd NAME", "forget a favourite",
        "The others stay.", ".fd genre", arguments=("favourite",), least=1, aliases=("\\fd",),
    ),
    "The shell",
    Command(
        ".help", "dot", "settings:help_", ".help [TOPIC]", "list the commands, or explain one",
        "TOPIC is a command, with or without its dot; `all` for a line on each; modes, quoting, keys,"
        " transactions; a statement's first words, for its syntax; or a function of SQL.",
        ".help .import", arguments=("topic...",), options={"--all": ""}, aliases=("help", ".h", "\\?", "\\h"),
    ),
    Command(
        ".quit", "dot", "settings:quit_", ".quit [STATUS]", "leave",
        "With the exit status given, else 0.", ".quit", arguments=("number",),
        aliases=(".exit", "quit", "exit", "\\q"),
    ),
    Command(
        ".config", "dot", "tools:config", ".config [NAME [VALUE]]", "show or set the shell's settings",
        "Each with its value and where that came from.", ".config theme dark",
        arguments=("setting", "value of"),
    ),
    Command(
        ".theme", "dot", "tools:theme", ".theme [NAME]", "show or choose the colours",
        "auto, dark, light, mono, or one of the configuration file.", ".theme light", arguments=("theme",),
    ),
    Command(
        ".completions", "dot", "tools:completions", ".completions bash|zsh|fish",
        "print a completion script for your login shell",
        "Put it where the shell looks for it.", ".completions bash",
        arguments=("one of bash zsh fish",), least=1,
    ),
)  # fmt: skip

COMMANDS: dict[str, Command] = {}
"""Every command by its name and its aliases."""

GROUPS: dict[str, list[Command]] = {}
"""The commands under their headings."""

for _item in _ALL:
    if isinstance(_item, str):
        _group = GROUPS.setdefault(_item, [])
        continue
    _group.append(_item)
    for _name in (_item.name, *_item.aliases):
        COMMANDS[_name] = _item
