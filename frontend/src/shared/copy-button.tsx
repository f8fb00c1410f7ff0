import { Check, Copy, TriangleAlert } from "lucide-react";
import { useEffect, useState } from "react";

import { Button } from "@/components/ui/button";

import { copy } from "./clipboard";

interface CopyButtonProps {
  /** What to copy, made when asked for. */
  text: () => string;
  /** What it is, for those who cannot see the icon: "Copy id". */
  label: string;
  /** Shown beside the icon. */
  children?: string;
  disabled?: boolean;
}

export function CopyButton({ text, label, children, disabled = false }: CopyButtonProps) {
  const [result, setResult] = useState<"copied" | "refused" | null>(null);
  useEffect(() => {
    if (result === null) return undefined;
    const timer = setTimeout(() => setResult(null), 2000);
    return () => clearTimeout(timer);
  }, [result]);
  const Icon = result === "copied" ? Check : result === "refused" ? TriangleAlert : Copy;
  return (
    <>
      <Button
        variant={children ? "outline" : "ghost"}
        size={children ? "small" : "iconSmall"}
        aria-label={label}
        title={label}
        disabled={disabled}
        onClick={() => void copy(text()).then((done) => setResult(done ? "copied" : "refused"))}
      >
        <Icon />
        {children}
      </Button>
      <span role="status" className="sr-only">
        {result === "copied" && "Copied"}
        {result === "refused" && "The browser did not allow copying"}
      </span>
    </>
  );
}
