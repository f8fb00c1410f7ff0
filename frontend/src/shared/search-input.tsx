import { Search } from "lucide-react";
import { useEffect, useEffectEvent, useState } from "react";

import { Input } from "@/components/ui/input";

import { cn } from "./cn";

const DELAY_MS = 250;

interface SearchInputProps {
  label: string;
  value: string;
  /** Called once typing has paused. */
  onSearch: (value: string) => void;
  className?: string;
}

export function SearchInput({ label, value, onSearch, className }: SearchInputProps) {
  const [typed, setTyped] = useState(value);
  const [known, setKnown] = useState(value);
  // The value changed elsewhere: by the back button, or since the filters were cleared.
  if (known !== value) {
    setKnown(value);
    setTyped(value);
  }
  const search = useEffectEvent((text: string) => {
    if (text === value) return;
    setKnown(text);
    onSearch(text);
  });
  useEffect(() => {
    const timer = setTimeout(() => search(typed), DELAY_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <span className={cn("relative inline-flex", className)}>
      <Search
        aria-hidden
        className="pointer-events-none absolute top-1/2 left-2.5 size-4 -translate-y-1/2 text-muted-foreground"
      />
      <Input
        type="search"
        aria-label={label}
        placeholder={label}
        className="pl-8"
        spellCheck={false}
        autoCapitalize="off"
        autoComplete="off"
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
      />
    </span>
  );
}
