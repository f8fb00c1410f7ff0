import { ESLint } from "eslint";
import { expect, test } from "vitest";

const RULE = "no-restricted-imports";

async function refused(file: string, imported: string): Promise<boolean> {
  const eslint = new ESLint({
    overrideConfig: { languageOptions: { parserOptions: { projectService: false } } },
    ruleFilter: ({ ruleId }) => ruleId === RULE,
  });
  const [result] = await eslint.lintText(`import "${imported}";\n`, { filePath: file });
  return result?.messages.some(({ ruleId }) => ruleId === RULE) ?? false;
}

test.each([
  ["src/shared/x.ts", "@/features/topics/rates", true],
  ["src/shared/x.ts", "@/app/app", true],
  ["src/features/topics/x.ts", "@/features/tail/json", true],
  ["src/features/tail/x.ts", "@/app/app", true],
  ["src/components/ui/x.ts", "@/shared/api/client", true],
  ["src/features/tail/x.ts", "@/features/tail/json", false],
  ["src/features/tail/x.ts", "@/shared/format", false],
  ["src/app/x.ts", "@/features/tail/json", false],
])("%s importing %s is refused: %s", async (file, imported, expected) => {
  expect(await refused(file, imported)).toBe(expected);
});
