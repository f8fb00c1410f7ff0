import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const noImports = (patterns, message) => ({
  "no-restricted-imports": ["error", { patterns: [{ regex: patterns, message }] }],
});

export default tseslint.config(
  { ignores: ["node_modules", "src/shared/api/schema.ts"] },
  {
    files: ["**/*.{ts,tsx}"],
    extends: [
      tseslint.configs.strictTypeChecked,
      tseslint.configs.stylisticTypeChecked,
      hooks.configs.flat.recommended,
    ],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "no-console": "error",
      "no-restricted-syntax": [
        "error",
        {
          selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
          message: "What publishers and clients send is shown as text, never as HTML.",
        },
      ],
      "@typescript-eslint/consistent-type-definitions": ["error", "interface"],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
    },
  },
  // components/ui and shared -> features -> app, never back, and no feature knows another.
  {
    files: ["src/shared/**", "src/components/**"],
    rules: noImports("^@/(features|app)/", "Shared code knows neither the features nor the app."),
  },
  {
    files: ["src/components/**"],
    rules: noImports("^@/(features|app|shared/api)(/|$)", "A component of components/ui knows nothing of the gateway."),
  },
  ...["topics", "connections", "tail"].map((feature) => ({
    files: [`src/features/${feature}/**`],
    rules: noImports(`^@/(app/|features/(?!${feature}/))`, "A feature knows neither the app nor another feature."),
  })),
);
