import { ChevronLeft, ChevronRight, ChevronsLeft } from "lucide-react";

import { Button } from "@/components/ui/button";
import { NativeSelect } from "@/components/ui/native-select";

export const PAGE_SIZES = [50, 100, 500] as const;
const DEFAULT_SIZE = 100;

/** The page size that an address names; the default for any other text. */
export function pageSize(text: string | null): number {
  return PAGE_SIZES.find((size) => String(size) === text) ?? DEFAULT_SIZE;
}

interface PagerProps {
  /** Which page of which list, in words. */
  summary: string;
  size: number;
  onSize: (size: string) => void;
  onFirst: (() => void) | null;
  onPrevious: (() => void) | null;
  onNext: (() => void) | null;
}

export function Pager({ summary, size, onSize, onFirst, onPrevious, onNext }: PagerProps) {
  return (
    <nav aria-label="Pages" className="flex flex-wrap items-center gap-x-3 gap-y-2 text-sm">
      <p className="mr-auto text-muted-foreground tabular-nums" aria-live="polite">
        {summary}
      </p>
      <label className="flex items-center gap-2 text-muted-foreground">
        <span className="hidden sm:inline">Rows a page</span>
        <NativeSelect
          aria-label="Rows a page"
          className="h-8"
          value={size}
          onChange={(event) => onSize(event.target.value)}
        >
          {PAGE_SIZES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </NativeSelect>
      </label>
      <span className="flex gap-1">
        <Button size="small" aria-label="First page" disabled={!onFirst} onClick={() => onFirst?.()}>
          <ChevronsLeft />
        </Button>
        <Button size="small" aria-label="Previous page" disabled={!onPrevious} onClick={() => onPrevious?.()}>
          <ChevronLeft />
        </Button>
        <Button size="small" aria-label="Next page" disabled={!onNext} onClick={() => onNext?.()}>
          <ChevronRight />
        </Button>
      </span>
    </nav>
  );
}
