import type { Header, ReactTable, Row, RowData } from "@tanstack/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp, ChevronsUpDown } from "lucide-react";
import { useEffect, useRef } from "react";

import { Table, TableCell, TableHead, TableRow } from "@/components/ui/table";

import { cn } from "./cn";
import type { Features } from "./table-features";

/** Up to here all rows are in the page, where the browser's own search finds them; more are drawn as they come in view. */
const VIRTUAL_FROM = 120;
const ROW_PIXELS = 40;

interface DataTableProps<Data extends RowData> {
  table: ReactTable<Features, Data>;
  /** What the table shows. */
  label: string;
  /** Classes of a column's cells and heading, by the column's id. */
  columnClasses?: Readonly<Record<string, string>>;
  /** The rows' places in the whole list, should there be pages. */
  firstRow?: number;
  totalRows?: number;
  /** Which page of which list this is: another one begins at its top. */
  page: string;
  /** Whether the rows are still those of the page before. */
  busy?: boolean;
}

export function DataTable<Data extends RowData>({
  table,
  label,
  columnClasses = {},
  firstRow = 0,
  totalRows,
  page,
  busy = false,
}: DataTableProps<Data>) {
  const frame = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (frame.current) frame.current.scrollTop = 0;
  }, [page]);
  const rows = table.getRowModel().rows;
  const virtual = rows.length > VIRTUAL_FROM;
  // eslint-disable-next-line react-hooks/incompatible-library -- nothing of the virtualizer is kept in a memo
  const virtualizer = useVirtualizer({
    count: virtual ? rows.length : 0,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_PIXELS,
    overscan: 10,
  });
  const items = virtualizer.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = virtual ? virtualizer.getTotalSize() - (items.at(-1)?.end ?? 0) : 0;
  const shown = virtual ? items.flatMap(({ index }) => rows[index] ?? []) : rows;
  const firstShown = firstRow + (items[0]?.index ?? 0);
  const columns = table.getAllLeafColumns().length;

  return (
    <div
      ref={frame}
      role="region"
      aria-label={label}
      aria-busy={busy}
      tabIndex={0}
      className={cn(
        "max-h-[calc(100dvh-16.5rem)] min-h-64 overflow-auto rounded-lg transition-opacity",
        busy && "opacity-60 delay-200",
      )}
    >
      <Table aria-label={label} aria-rowcount={totalRows === undefined ? -1 : totalRows + 1}>
        <thead>
          {table.getHeaderGroups().map((group) => (
            <tr key={group.id} aria-rowindex={1}>
              {group.headers.map((header) => (
                <HeadCell key={header.id} table={table} header={header} className={columnClasses[header.column.id]} />
              ))}
            </tr>
          ))}
        </thead>
        <tbody>
          {before > 0 && <Spacer columns={columns} height={before} />}
          {shown.map((row: Row<Features, Data>, index) => (
            <TableRow key={row.id} aria-rowindex={firstShown + index + 2}>
              {row.getAllCells().map((cell) => (
                <TableCell key={cell.id} className={columnClasses[cell.column.id]}>
                  <table.FlexRender cell={cell} />
                </TableCell>
              ))}
            </TableRow>
          ))}
          {after > 0 && <Spacer columns={columns} height={after} />}
        </tbody>
      </Table>
    </div>
  );
}

function Spacer({ columns, height }: { columns: number; height: number }) {
  return (
    <tr aria-hidden>
      <td colSpan={columns} style={{ height, padding: 0 }} />
    </tr>
  );
}

interface HeadCellProps<Data extends RowData> {
  table: ReactTable<Features, Data>;
  header: Header<Features, Data>;
  className: string | undefined;
}

function HeadCell<Data extends RowData>({ table, header, className }: HeadCellProps<Data>) {
  const { column } = header;
  if (!column.getCanSort()) {
    return (
      <TableHead className={className}>
        <table.FlexRender header={header} />
      </TableHead>
    );
  }
  const sorted = column.getIsSorted();
  const Icon = sorted === "asc" ? ArrowUp : sorted === "desc" ? ArrowDown : ChevronsUpDown;
  return (
    <TableHead
      className={className}
      aria-sort={sorted === "asc" ? "ascending" : sorted === "desc" ? "descending" : "none"}
    >
      <button
        type="button"
        onClick={() => column.toggleSorting()}
        className={cn("inline-flex items-center gap-1 rounded hover:text-foreground", sorted && "text-foreground")}
      >
        <table.FlexRender header={header} />
        <Icon aria-hidden className={cn("size-3.5", !sorted && "hidden opacity-40 sm:block")} />
      </button>
    </TableHead>
  );
}
