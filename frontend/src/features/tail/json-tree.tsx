import { ChevronDown, ChevronRight } from "lucide-react";
import { useState } from "react";

import { Button } from "@/components/ui/button";
import { plural } from "@/shared/format";
import { visibleLine } from "@/shared/visible";

import { ExactNumber, type Json } from "./json";

/** Levels that are open at first, and members shown before one asks for more. */
const OPEN_LEVELS = 2;
const MEMBERS = 100;
const MAX_STRING = 2000;

/** JSON as a tree whose parts fold. */
export function JsonTree({ value }: { value: Json }) {
  return (
    <div className="font-mono text-[13px] leading-6">
      <Value value={value} level={0} />
    </div>
  );
}

function Value({ value, level, name }: { value: Json; level: number; name?: string }) {
  const label = name === undefined ? null : <span className="text-muted-foreground">{visibleLine(name)}: </span>;
  if (typeof value === "object" && value !== null && !(value instanceof ExactNumber)) {
    return <Branch value={value} level={level} label={label} name={name ?? "JSON"} />;
  }
  return (
    <div className="pl-5 break-words">
      {label}
      <Leaf value={value} />
    </div>
  );
}

function Leaf({ value }: { value: null | boolean | number | string | ExactNumber }) {
  const [whole, setWhole] = useState(false);
  if (typeof value === "string") {
    const long = value.length > MAX_STRING && !whole;
    return (
      <>
        <bdi className="break-words whitespace-pre-wrap text-primary">
          {`"${visibleLine(long ? value.slice(0, MAX_STRING) : value)}${long ? "…" : '"'}`}
        </bdi>
        {long && (
          <Button variant="link" size="inline" className="ml-2" onClick={() => setWhole(true)}>
            Show all {plural(value.length, "character")}
          </Button>
        )}
      </>
    );
  }
  return <span className="text-info">{value instanceof ExactNumber ? value.source : String(value)}</span>;
}

interface BranchProps {
  value: Json[] | Record<string, Json>;
  level: number;
  label: React.ReactNode;
  name: string;
}

function Branch({ value, level, label, name }: BranchProps) {
  const [open, setOpen] = useState(level < OPEN_LEVELS);
  const [limit, setLimit] = useState(MEMBERS);
  const list = Array.isArray(value);
  const members = list ? value.length : Object.keys(value).length;
  const [left, right] = list ? ["[", "]"] : ["{", "}"];
  if (members === 0) {
    return (
      <div className="pl-5">
        {label}
        {left + right}
      </div>
    );
  }
  const Icon = open ? ChevronDown : ChevronRight;
  return (
    <div>
      <button
        type="button"
        aria-expanded={open}
        aria-label={`${visibleLine(name)}, ${plural(members, list ? "item" : "member")}`}
        onClick={() => setOpen(!open)}
        className="flex items-center rounded text-left hover:bg-muted"
      >
        <Icon aria-hidden className="mr-1 size-4 shrink-0 text-muted-foreground" />
        <span>
          {label}
          {left}
          {!open && (
            <span className="text-muted-foreground">
              {" "}
              {plural(members, list ? "item" : "member")} {right}
            </span>
          )}
        </span>
      </button>
      {open && (
        <>
          <div className="ml-2 border-l border-border pl-2">
            {list
              ? value.slice(0, limit).map((item, index) => <Value key={index} value={item} level={level + 1} />)
              : Object.entries(value)
                  .slice(0, limit)
                  .map(([key, item]) => <Value key={key} value={item} level={level + 1} name={key} />)}
            {members > limit && (
              <Button variant="link" size="inline" className="ml-5" onClick={() => setLimit(limit + 10 * MEMBERS)}>
                Show more of {plural(members - limit, "other")}
              </Button>
            )}
          </div>
          <div className="pl-5">{right}</div>
        </>
      )}
    </div>
  );
}
