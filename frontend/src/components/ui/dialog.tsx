import { X } from "lucide-react";
import { Dialog as Primitive } from "radix-ui";
import type { ComponentProps } from "react";

import { cn } from "@/shared/cn";

import { Button } from "./button";

export const Dialog = Primitive.Root;
export const DialogTrigger = Primitive.Trigger;
export const DialogClose = Primitive.Close;

const overlay = "fixed inset-0 z-50 bg-black/50 backdrop-blur-[1px]";
export const dialogPanel =
  "fixed top-1/2 left-1/2 z-50 grid max-h-[90dvh] w-[calc(100vw-2rem)] max-w-lg -translate-x-1/2 -translate-y-1/2 gap-4 overflow-y-auto rounded-xl border border-border bg-raised p-5 shadow-xl";

interface DialogContentProps extends ComponentProps<typeof Primitive.Content> {
  /** Whether there is a button that closes it. */
  closable?: boolean;
}

export function DialogContent({ className, children, closable = true, ...props }: DialogContentProps) {
  return (
    <Primitive.Portal>
      <Primitive.Overlay className={overlay} />
      <Primitive.Content className={cn(dialogPanel, className)} {...props}>
        {children}
        {closable && (
          <Primitive.Close asChild>
            <Button variant="ghost" size="iconSmall" aria-label="Close" className="absolute top-3 right-3">
              <X />
            </Button>
          </Primitive.Close>
        )}
      </Primitive.Content>
    </Primitive.Portal>
  );
}

export function DialogTitle({ className, ...props }: ComponentProps<typeof Primitive.Title>) {
  return <Primitive.Title className={cn("pr-8 text-base font-semibold", className)} {...props} />;
}

export function DialogDescription({ className, ...props }: ComponentProps<typeof Primitive.Description>) {
  return <Primitive.Description className={cn("text-sm text-muted-foreground", className)} {...props} />;
}
