import { KeyRound, LoaderCircle } from "lucide-react";
import { useId, useState, type SyntheticEvent } from "react";

import { Button } from "@/components/ui/button";
import { Dialog, DialogContent, DialogDescription, DialogTitle } from "@/components/ui/dialog";
import { Input } from "@/components/ui/input";
import { canBeKey, checkKey } from "@/shared/api/client";
import { signIn, signOut } from "@/shared/session";

const WRONG = "The gateway does not take this key. It takes those that GATEWAY_API_KEYS lists where it runs.";

function SignInForm() {
  const field = useId();
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: SyntheticEvent) => {
    event.preventDefault();
    const tried = key.trim();
    if (tried === "") {
      setProblem("Paste the API key first.");
      return;
    }
    if (!canBeKey(tried)) {
      setProblem("A key has visible ASCII characters only, without spaces.");
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      if (await checkKey(tried)) signIn(tried);
      else setProblem(WRONG);
    } catch (error) {
      setProblem(`${error instanceof Error ? error.message : "That failed."} Try again.`);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} noValidate className="flex flex-col gap-1.5">
      <label htmlFor={field} className="text-sm font-medium">
        API key
      </label>
      <Input
        id={field}
        type="password"
        autoComplete="off"
        spellCheck={false}
        autoFocus
        className="font-mono"
        value={key}
        aria-invalid={problem !== null}
        aria-describedby={`${field}-problem`}
        onChange={(event) => {
          setKey(event.target.value);
          setProblem(null);
        }}
      />
      <p id={`${field}-problem`} role="alert" className="text-sm text-danger empty:hidden">
        {problem}
      </p>
      <Button type="submit" variant="primary" disabled={busy} className="mt-2">
        {busy ? <LoaderCircle aria-hidden className="animate-spin" /> : <KeyRound aria-hidden />}
        {busy ? "Checking the key" : "Sign in"}
      </Button>
    </form>
  );
}

export function SignInPage({ icon }: { icon: string }) {
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <div className="w-full max-w-sm rounded-xl border border-border bg-surface p-6 shadow-sm">
        <img src={icon} alt="" className="size-10" />
        <h1 className="mt-4 text-xl font-semibold">SSE gateway</h1>
        <p className="mt-1 mb-5 text-sm text-muted-foreground">
          Sign in with the key that publishers use. It stays in this browser and is sent to this gateway only.
        </p>
        <SignInForm />
      </div>
    </main>
  );
}

/** Asks for the key again over the page, which stays as it is. */
export function SignInAgain() {
  return (
    <Dialog open>
      <DialogContent
        closable={false}
        className="max-w-sm"
        onEscapeKeyDown={(event) => event.preventDefault()}
        onInteractOutside={(event) => event.preventDefault()}
      >
        <DialogTitle>The key is no longer taken</DialogTitle>
        <DialogDescription>
          The gateway answered 401. Its keys may have changed: paste a new one, and go on where you are.
        </DialogDescription>
        <SignInForm />
        <Button variant="ghost" size="small" onClick={signOut}>
          Sign out
        </Button>
      </DialogContent>
    </Dialog>
  );
}
