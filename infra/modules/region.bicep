// Reads the region of a workspace: its system topic must be in the same one.

@description('Name of the workspace.')
param workspaceName string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2024-10-01' existing = {
  name: workspaceName
}

@description('Region of the workspace.')
output location string = workspace.location
