import {
  createPaginatedRowModel,
  createSortedRowModel,
  rowPaginationFeature,
  rowSortingFeature,
  sortFn_basic,
  tableFeatures,
  type ColumnDef,
  type RowData,
} from "@tanstack/react-table";

/** What the dashboard's tables can do. */
export const features = tableFeatures({
  rowSortingFeature,
  rowPaginationFeature,
  sortedRowModel: createSortedRowModel(),
  paginatedRowModel: createPaginatedRowModel(),
  sortFns: { basic: sortFn_basic },
});

export type Features = typeof features;
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- columns of one table hold values of several types
export type Column<Row extends RowData> = ColumnDef<Features, Row, any>;
